"""Restores rows into their table, and creates tables that refer to another."""

from pathlib import Path
from typing import Any

from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.restore import Restored, restore
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.storage import location

BALANCE = """
CREATE TABLE balance (total numeric);
INSERT INTO balance VALUES (0);
CREATE FUNCTION add_up() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN UPDATE balance SET total = total + NEW.amount; RETURN NULL; END';
"""
ORDERS = """
CREATE TABLE people (id int PRIMARY KEY, name text UNIQUE);
INSERT INTO people SELECT n, 'p' || n FROM generate_series(0, 9) n;
CREATE TABLE orders (id int PRIMARY KEY, at timestamptz DEFAULT '2026-03-01', person int);
INSERT INTO orders SELECT n, '2026-03-01', n %% 10 FROM generate_series(1, 100) n;
"""


def bring_back(connection: Connection, folder: Path, table: str = "events", **how: Any) -> Restored:
    how = {"first": None, "last": None, "by": "ada"} | how
    return restore(connection, Archive(location.storage(str(folder)), connection), table, **how)


def make_orders(connection: Connection, key: str) -> None:
    connection.execute(ORDERS.replace("%%", "%").encode())
    connection.execute(f"ALTER TABLE orders ADD CONSTRAINT orders_person {key}".encode())
