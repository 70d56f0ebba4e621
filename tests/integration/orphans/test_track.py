"""The record of deleted parents is used only while it is complete, and says when it was not."""

from collections.abc import Callable

import psycopg
import pytest

from ops_pipeline import policy
from ops_pipeline.database import Connection, scalar
from ops_pipeline.maintenance.orphans import track, triggers
from ops_pipeline.maintenance.perform import perform
from ops_pipeline.maintenance.planned import plan_one

Rules = Callable[[str], list[policy.Orphans]]

TABLES = """
CREATE TABLE parents (day int, id int, note text, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE parents_1 PARTITION OF parents FOR VALUES FROM (1) TO (2);
CREATE TABLE parents_2 PARTITION OF parents FOR VALUES FROM (2) TO (3);
CREATE TABLE children (id int, day int, parent int);
CREATE INDEX ON children (day, parent);
INSERT INTO parents SELECT day, n FROM generate_series(1, 2) day, generate_series(1, 50) n;
INSERT INTO children SELECT n, day, n FROM generate_series(1, 2) day, generate_series(1, 50) n;
"""


@pytest.fixture
def rule(connection: Connection, rules: Rules) -> policy.Orphans:
    """A tracked policy whose first sweep is over."""
    connection.execute(TABLES)
    (rule,) = rules(
        "{table: children, columns: [day, parent], references: 'parents(day, id)',"
        " grace: 0 seconds, track: true}"
    )
    triggers.install(connection, rule, by="test")
    perform(connection, rule)
    return rule


def _sources(connection: Connection, rule: policy.Orphans) -> tuple[str, int]:
    result = perform(connection, rule)
    assert result.left == 0
    return result.details["source"], result.removed


def test_only_the_children_of_recorded_parents_are_looked_at(
    connection: Connection, rule: policy.Orphans
) -> None:
    connection.execute("DELETE FROM parents WHERE id <= 3")
    connection.execute("DELETE FROM parents_2 WHERE id <= 5")
    connection.execute("UPDATE parents SET id = 1000 WHERE day = 1 AND id = 50")
    connection.execute("UPDATE parents SET note = 'the key stays'")
    connection.execute("SET session_replication_role = replica")
    connection.execute("DELETE FROM parents WHERE day = 1 AND id = 49")
    connection.execute("RESET session_replication_role")
    recorded = scalar(connection, "SELECT count(*) FROM ops.missing_parents")

    assert (recorded, _sources(connection, rule)) == (4, ("record", 10))
    assert _sources(connection, rule) == ("record", 0)
    assert scalar(connection, "SELECT count(*) FROM ops.missing_parents") == 0


def test_a_rolled_back_delete_records_nothing(connection: Connection, rule: policy.Orphans) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("DELETE FROM parents")

    assert _sources(connection, rule) == ("record", 0)


@pytest.mark.parametrize(
    ("bypass", "removed", "told"),
    [
        ("TRUNCATE parents_1", 50, "truncated"),
        ("DROP TABLE parents_1", 50, "partition was dropped"),
        ("ALTER TABLE parents DETACH PARTITION parents_1", 50, "partition was dropped"),
        (
            "ALTER TABLE parents_1 DISABLE TRIGGER USER; DELETE FROM parents_1 WHERE id = 1;"
            " ALTER TABLE parents_1 ENABLE ALWAYS TRIGGER {delete};"
            " ALTER TABLE parents_1 ENABLE ALWAYS TRIGGER {truncate};"
            " ALTER TABLE parents_1 ENABLE ALWAYS TRIGGER {update}",
            1,
            "a trigger was off",
        ),
        (
            "DROP TRIGGER {delete} ON parents_1; DELETE FROM parents_1 WHERE id = 1",
            1,
            "missing or off on public.parents_1",
        ),
        (
            "CREATE TABLE parents_3 PARTITION OF parents FOR VALUES FROM (3) TO (4)",
            0,
            "missing or off on public.parents_3",
        ),
    ],
)
def test_what_goes_around_the_triggers_is_noticed_and_swept(
    connection: Connection, rule: policy.Orphans, bypass: str, removed: int, told: str
) -> None:
    name = triggers.triggers(connection, rule.name)[0].name.rsplit("_", 1)[0]
    events = {event: f"{name}_{event}" for event in ("delete", "truncate", "update")}
    connection.execute(bypass.format(**events))

    result = perform(connection, rule)

    assert (result.details["source"], result.removed) == ("sweep", removed)
    assert told in result.details["source_reason"]
    triggers.install(connection, rule, by="test")
    perform(connection, rule)
    connection.execute("DELETE FROM parents WHERE id = 40 AND day = 2")
    assert _sources(connection, rule) == ("record", 1)


def test_a_weekly_sweep_reports_what_was_not_recorded(connection: Connection, rule: policy.Orphans) -> None:
    connection.execute("UPDATE ops.orphan_tracks SET swept_at = swept_at - interval '8 days'")
    connection.execute("DELETE FROM parents WHERE day = 2 AND id = 7")
    connection.execute("INSERT INTO children VALUES (999, 77, 77)")

    result = perform(connection, rule)

    assert (result.details["source"], result.removed) == ("sweep", 2)
    assert (result.details["unrecorded"], result.details["unrecorded_keys"]) == (1, [["77", "77"]])
    assert track.last_audit(connection, rule) == (1, [["77", "77"]])
    assert _sources(connection, rule) == ("record", 0)


def test_a_missing_index_is_told_with_its_statement_and_the_table_is_swept(
    connection: Connection, rule: policy.Orphans
) -> None:
    connection.execute("DROP INDEX children_day_parent_idx")
    connection.execute("DELETE FROM parents WHERE id <= 3")

    (advice, *_) = plan_one(connection, rule, limit_seconds=60).advice

    assert 'CREATE INDEX CONCURRENTLY ON "public"."children" ("day", "parent")' in advice
    assert _sources(connection, rule) == ("sweep", 6)


def test_a_writer_needs_no_right_to_anything_of_ours(connection: Connection, rule: policy.Orphans) -> None:
    connection.execute(
        "DO $$ BEGIN CREATE ROLE plain_writer; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    connection.execute("GRANT SELECT, DELETE ON parents TO plain_writer")
    connection.execute("SET ROLE plain_writer")
    connection.execute("DELETE FROM parents WHERE id = 1")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT FROM ops.missing_parents")
    connection.execute("RESET ROLE")

    assert _sources(connection, rule) == ("record", 2)


def test_tracking_is_taken_off_without_a_trace(connection: Connection, rule: policy.Orphans) -> None:
    assert len(triggers.remove(connection, rule.name, by="test")) == 7

    assert scalar(connection, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == 1, (
        "audit_logs' own"
    )
    connection.execute("DELETE FROM parents WHERE id = 1")
    assert _sources(connection, rule) == ("sweep", 2)
