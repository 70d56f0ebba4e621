"""Inheritance parents are refused, children are not; rows are identified by partition and ctid."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ops_pipeline.holds import holds
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.orphans import grace_period, triggers
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.maintenance.result import RefusedError
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.settings import Settings

Read = Callable[[str], Database]

EVENTS = """
CREATE TABLE events (id int, created_at timestamptz NOT NULL);
CREATE TABLE events_de (country text) INHERITS (events);
CREATE TABLE "Events fr" (CHECK (id > 0)) INHERITS (events);
CREATE TABLE events_paris () INHERITS ("Events fr");
INSERT INTO events SELECT n, now() - interval '40 days' FROM generate_series(1, 100) AS n;
INSERT INTO events_de SELECT n, now() FROM generate_series(1, 100) AS n;
INSERT INTO events_de SELECT n, now() - interval '40 days' FROM generate_series(101, 110) AS n;
INSERT INTO events_paris SELECT n, now() FROM generate_series(1, 100) AS n;
"""
HEAD = "version: 1\ndatabases:\n  app:\n    url: x\n    "


def retention(read: Read, table: str, more: str = "") -> Database:
    return read(
        f"{HEAD}retention: [{{table: {table}, column: created_at, keep: 30 days, "
        f"guard: {{max_fraction: 1}}{more}}}]"
    )


def orphans(read: Read, table: str, references: str, more: str = "") -> Database:
    return read(
        f"{HEAD}orphans: [{{table: {table}, column: event_id, references: {references}, "
        f"grace_period: 0 seconds, guard: {{max_fraction: 1}}{more}}}]"
    )


def refused(connection: Connection, database: Database) -> str:
    (planned,) = plan(connection, database.policies)
    assert isinstance(planned, DeletePlan), planned
    with pytest.raises(RefusedError, match="nothing was deleted") as error:
        carry_out(connection, database.policies[0])
    assert planned.refusals
    assert all(problem in str(error.value) for problem in planned.refusals)
    return str(error.value)


@pytest.mark.parametrize("more", ["", ", archive: true"])
def test_a_table_with_inheritance_children_is_refused(connection: Connection, read: Read, more: str) -> None:
    connection.execute(EVENTS)

    said = refused(connection, retention(read, "events", more))

    assert 'public."Events fr", public.events_de, public.events_paris' in said
    assert 'ALTER TABLE public."Events fr" NO INHERIT public.events' in said
    assert scalar(connection, "SELECT count(*) FROM events") == 310
    for statement in said[said.index("ALTER TABLE") :].split("; "):
        connection.execute(statement.encode())
    assert carry_out(connection, retention(read, "events").policies[0]).removed == 100
    assert scalar(connection, "SELECT count(*) FROM events_de") == 110


def test_an_inheritance_child_is_treated_like_any_other_table(connection: Connection, read: Read) -> None:
    connection.execute(EVENTS)

    assert carry_out(connection, retention(read, "events_de").policies[0]).removed == 10
    assert scalar(connection, "SELECT count(*) FROM events") == 300


def test_a_hold_on_the_parent_keeps_rows_of_its_inheritance_children(
    connection: Connection, read: Read
) -> None:
    connection.execute(EVENTS)
    holds.add(connection, "events", "id = 105", reason="x", owner="y", by="z")

    (planned,) = plan(connection, retention(read, "events_de").policies)

    assert isinstance(planned, DeletePlan)
    assert (planned.rows.eligible, planned.rows.on_hold) == (9, 1)
    assert carry_out(connection, retention(read, "events_de").policies[0]).removed == 9
    assert scalar(connection, "SELECT count(*) FROM events_de WHERE id = 105") == 1


def test_orphans_of_and_in_a_table_with_inheritance_children_are_refused(
    connection: Connection, read: Read
) -> None:
    connection.execute(EVENTS)
    connection.execute(
        "CREATE TABLE notes (event_id int); INSERT INTO notes SELECT generate_series(101, 120);"
        "CREATE TABLE notes_de () INHERITS (notes); CREATE TABLE plain (id int PRIMARY KEY);"
        "CREATE TABLE facts (event_id int); INSERT INTO facts SELECT generate_series(105, 120)"
    )

    assert "public.events, which public.facts refers to" in refused(
        connection, orphans(read, "facts", "events.id")
    )
    assert "public.notes has inheritance children" in refused(connection, orphans(read, "notes", "plain.id"))
    assert scalar(connection, "SELECT count(*) FROM facts") == 16
    assert carry_out(connection, orphans(read, "facts", "events_de.id").policies[0]).removed == 10


@pytest.mark.parametrize("archive", [False, True])
def test_a_locked_row_of_one_partition_keeps_no_row_of_another(
    connection: Connection,
    url: str,
    read: Read,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    archive: bool,
) -> None:
    monkeypatch.setattr(grace_period, "PATIENCE", timedelta(0))  # the other transaction stays open
    connection.execute(
        "CREATE TABLE parents (id int PRIMARY KEY);"
        "CREATE TABLE facts (id int, event_id int) PARTITION BY RANGE (id);"
        "CREATE TABLE facts_1 PARTITION OF facts FOR VALUES FROM (1) TO (101);"
        "CREATE TABLE facts_2 PARTITION OF facts FOR VALUES FROM (101) TO (201);"
        "CREATE INDEX ON facts (event_id);"
        "INSERT INTO parents SELECT generate_series(1, 200);"
        "INSERT INTO facts SELECT n, n FROM generate_series(1, 200) AS n"
    )
    database = orphans(read, "facts", "parents.id", ", track: true")
    policy = database.policies[0]
    assert isinstance(policy, Orphans)
    triggers.install(connection, policy, by="test")
    carry_out(connection, policy)
    connection.execute("DELETE FROM parents WHERE id <= 100")
    settings = Settings(archive_url=str(tmp_path))
    with connect(url, "another session") as other, other.transaction():
        other.execute("SELECT FROM facts WHERE id = 7 FOR UPDATE")
        result = carry_out(connection, replace(policy, archive=archive), settings=settings)

    assert result.details["source"] == "record"
    assert result.removed == 99
    assert scalar(connection, "SELECT count(*) FROM facts_2") == 100
    assert scalar(connection, "SELECT array_agg(id) FROM facts_1") == [7]
