"""A database with every problem that doctor finds, as far as they can coexist, and its policies."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from psycopg import sql as compose

from ops_pipeline.holds import holds
from ops_pipeline.partitions.premake import premake
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import connect
from ops_pipeline.postgres.relation import audit_logs, find_relation

NAME = "ailing"
ROLES = """
CREATE ROLE shop;
CREATE ROLE janitor LOGIN PASSWORD 'janitor' IN ROLE ops_maintenance, ops_reader;
"""
EXTENSIONS = """
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
GRANT USAGE ON FOREIGN SERVER files TO shop;
GRANT ALL ON SCHEMA public TO shop;
GRANT CREATE ON SCHEMA public TO PUBLIC;
GRANT pg_read_server_files TO shop;
"""
SCHEMA = """
CREATE TABLE accounts (id int PRIMARY KEY, at timestamptz);
ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON accounts USING (id > 3);

CREATE TABLE sessions (id int PRIMARY KEY, at timestamptz);
CREATE TABLE invoices (session int REFERENCES sessions ON DELETE CASCADE, at timestamptz);
CREATE INDEX ON invoices (session);

CREATE TABLE visits (id int PRIMARY KEY, at timestamptz);
CREATE TABLE stays (visit int REFERENCES visits ON DELETE CASCADE);
CREATE INDEX ON stays (visit);
CREATE RULE kept AS ON DELETE TO visits WHERE OLD.id = 7 DO INSTEAD NOTHING;
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE DELETE ON visits FOR EACH ROW EXECUTE FUNCTION keep();

CREATE TABLE carts (id int PRIMARY KEY, at timestamptz);
CREATE TABLE items (cart int REFERENCES carts ON DELETE CASCADE);
CREATE INDEX ON items (cart);
CREATE TRIGGER keep BEFORE DELETE ON carts FOR EACH ROW EXECUTE FUNCTION keep();

CREATE TABLE tickets (id int PRIMARY KEY, at timestamptz);
CREATE TABLE comments (ticket int NOT NULL REFERENCES tickets ON DELETE SET NULL, words text);
INSERT INTO tickets VALUES (1, now());
INSERT INTO comments SELECT 1, repeat('x', 1000) FROM generate_series(1, 1000);
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN PERFORM FROM accounts; RETURN NULL; END $$;
CREATE TRIGGER look AFTER DELETE ON tickets FOR EACH ROW EXECUTE FUNCTION look();

CREATE TABLE base (id int PRIMARY KEY, at timestamptz);
CREATE TABLE child () INHERITS (base);

CREATE TABLE events (id int, at timestamptz) PARTITION BY RANGE (at);
CREATE INDEX ON events (id);
CREATE TABLE events_first PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2019-01-01');
INSERT INTO events VALUES (1, '-infinity');

CREATE TABLE readings (id int, at timestamptz) PARTITION BY RANGE (at);
CREATE FOREIGN TABLE readings_2018 PARTITION OF readings FOR VALUES FROM ('2018-01-01') TO ('2019-01-01')
  SERVER files OPTIONS (filename '/nowhere/readings.csv', format 'csv');

CREATE TABLE notes (account int, words text);
CREATE TABLE evidence (id int PRIMARY KEY, at timestamptz);
GRANT SELECT, DELETE ON accounts, sessions, invoices, visits, stays, carts, items, tickets,
  comments, child, events, events_first, readings, notes, evidence TO janitor;
GRANT SELECT ON base TO janitor;
"""
POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention:
      - {table: accounts, column: at, keep: 30 days}
      - {table: sessions, column: at, keep: 30 days, archive: true}
      - {table: invoices, column: at, keep: 3650 days}
      - {table: visits, column: at, keep: 30 days}
      - {table: carts, column: at, keep: 30 days, archive: true, cascade: archive}
      - {table: tickets, column: at, keep: 30 days}
      - {table: base, column: at, keep: 30 days}
      - {table: events, column: at, keep: 30 days}
      - {table: readings, column: at, keep: 30 days, partition: day}
      - {table: nowhere, column: at, keep: 30 days}
    orphans:
      - {table: notes, column: account, references: accounts.id}
      - {table: readings, column: id, references: accounts.id}
    vacuum: {tables: [accounts]}
"""
FINDINGS = {
    ("policy_mismatch", "app/retention/nowhere"),
    ("rights", "public.base"),
    ("rights", "public.carts"),
    ("rights", "public.events"),
    ("row_security", "public.accounts"),
    ("archive_place", "app/retention/carts"),
    ("archive_place", "app/retention/sessions"),
    ("holds", "hold 1 on public.evidence"),
    ("inheritance", "public.base"),
    ("cascades", "public.invoices"),
    ("voided_keys", "public.comments"),
    ("kept_parents", "public.carts"),
    ("rules", "public.visits"),
    ("foreign_key_indexes", "public.comments"),
    ("foreign_partitions", "public.readings_2018"),
    ("raising_triggers", "public.tickets"),
    ("keeping_triggers", "public.carts"),
    ("keeping_triggers", "public.visits"),
    ("vacuum_rights", "app/vacuum"),
    ("orphan_indexes", "public.notes"),
    ("orphan_indexes", "public.readings"),
    ("open_schemas", "schema public"),
    ("track_counts", "NAME"),
    ("deleted_by_cascade", "public.stays"),
    ("delete_triggers", "public.carts"),
    ("delete_triggers", "public.visits"),
    ("delete_triggers", "public.tickets"),
    ("partitions_premade", "public.readings"),
    ("whole_partitions", "public.events"),
    ("endless_rows", "public.events_first"),
    ("foreign_partitions_left", "public.readings_2018"),
    ("session_settings", "database NAME"),
}
"""Findings by id and subject; NAME is the name of the database."""


@contextmanager
def made(server: embedded.Server, template: str) -> Iterator[None]:
    """Creates the roles and a template database; drops them at the end."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as session:
        session.execute(f"CREATE DATABASE {NAME} TEMPLATE {template}")
        session.execute(ROLES)
        try:
            _fill(server.url(NAME))
            yield
        finally:
            session.execute(f"DROP DATABASE {NAME} WITH (FORCE)")
            session.execute("DROP OWNED BY shop, janitor CASCADE; DROP ROLE shop, janitor")


def _fill(url: str) -> None:
    with connect(url, "test") as owner:
        owner.execute(EXTENSIONS)
        owner.execute("SET ROLE shop")
        owner.execute(SCHEMA)
        owner.execute("RESET ROLE")
        holds.add(owner, "evidence", "id = 1", reason="case 7", owner="legal", by="ada")
        owner.execute("ALTER TABLE evidence RENAME TO proof")
        premake(owner, find_relation(owner, audit_logs()))


def copied(new_database: Callable[[str], str]) -> str:
    """The owner's URL of a copy with its own settings; the roles are in their original state."""
    url = new_database(NAME)
    with psycopg.connect(url, autocommit=True) as session:
        for setting in ("DateStyle = 'German'", "track_counts = off"):
            statement = compose.SQL("ALTER DATABASE {} SET " + setting)
            session.execute(statement.format(compose.Identifier(session.info.dbname)))
        session.execute("ALTER ROLE janitor NOBYPASSRLS")
        for role in ("shop", "pg_maintain") if session.info.server_version >= 170000 else ("shop",):
            session.execute(compose.SQL("REVOKE {} FROM janitor").format(compose.Identifier(role)))
    return url


def as_maintenance_role(url: str) -> str:
    """The URL of the same database for the maintenance role."""
    return with_user(url, "janitor")


def with_user(url: str, name: str) -> str:
    """The URL of the same database for another role, whose password is its name."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{name}:{name}@{parts.hostname}:{parts.port}").geturl()


def with_key(policies: str, problem: str, key: str) -> str:
    """The policies, with that key added to the policy that the problem names."""
    named = re.search(r"\(app/retention/(\w+)\)", problem)
    assert named, problem
    return policies.replace(f"{{table: {named[1]},", f"{{table: {named[1]}, {key},")
