"""The record of deleted parents is used only while it is complete; a gap in it is reported."""

from collections.abc import Callable

import psycopg
import pytest

from ops_pipeline.holds import holds
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.orphans import track, triggers
from ops_pipeline.maintenance.orphans.plan import plan_orphans
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import Planning
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.orphans.conftest import an_hour_later

PoliciesOf = Callable[[str], list[Orphans]]

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
def policy(connection: Connection, policies_of: PoliciesOf) -> Orphans:
    """A tracked policy after its first sweep."""
    connection.execute(TABLES)
    (policy,) = policies_of(
        "{table: children, columns: [day, parent], references: 'parents(day, id)',"
        " grace_period: 0 seconds, track: true}"
    )
    triggers.install(connection, policy, by="test")
    carry_out(connection, policy)
    return policy


def _sources(connection: Connection, policy: Orphans) -> tuple[str, int]:
    result = carry_out(connection, policy)
    assert result.remaining == 0
    return result.details["source"], result.removed


def test_only_the_children_of_recorded_parents_are_scanned(connection: Connection, policy: Orphans) -> None:
    connection.execute("DELETE FROM parents WHERE id <= 3")
    connection.execute("DELETE FROM parents_2 WHERE id <= 5")
    connection.execute("UPDATE parents SET id = 1000 WHERE day = 1 AND id = 50")
    connection.execute("UPDATE parents SET note = 'the key stays'")
    connection.execute("SET session_replication_role = replica")
    connection.execute("DELETE FROM parents WHERE day = 1 AND id = 49")
    connection.execute("RESET session_replication_role")
    recorded = scalar(connection, "SELECT count(*) FROM ops.missing_parents")

    assert (recorded, _sources(connection, policy)) == (4, ("record", 10))
    assert _sources(connection, policy) == ("record", 0)
    assert scalar(connection, "SELECT count(*) FROM ops.missing_parents") == 0


def test_a_rolled_back_delete_records_nothing(connection: Connection, policy: Orphans) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("DELETE FROM parents")

    assert _sources(connection, policy) == ("record", 0)


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
            "a trigger was disabled",
        ),
        (
            "DROP TRIGGER {delete} ON parents_1; DELETE FROM parents_1 WHERE id = 1",
            1,
            "missing or disabled on public.parents_1",
        ),
        (
            "CREATE TABLE parents_3 PARTITION OF parents FOR VALUES FROM (3) TO (4)",
            0,
            "missing or disabled on public.parents_3",
        ),
    ],
)
def test_a_delete_that_bypasses_the_triggers_is_noticed_and_leads_to_a_sweep(
    connection: Connection, policy: Orphans, bypass: str, removed: int, told: str
) -> None:
    name = triggers.triggers(connection, policy.name)[0].name.rsplit("_", 1)[0]
    events = {event: f"{name}_{event}" for event in ("delete", "truncate", "update")}
    connection.execute(bypass.format(**events))

    result = carry_out(connection, policy)

    assert (result.details["source"], result.removed) == ("sweep", removed)
    assert told in result.details["source_reason"]
    triggers.install(connection, policy, by="test")
    carry_out(connection, policy)
    connection.execute("DELETE FROM parents WHERE id = 40 AND day = 2")
    assert _sources(connection, policy) == ("record", 1)


def test_a_weekly_sweep_reports_what_was_not_recorded(connection: Connection, policy: Orphans) -> None:
    connection.execute("UPDATE ops.orphan_tracks SET swept_at = swept_at - interval '8 days'")
    connection.execute("DELETE FROM parents WHERE day = 2 AND id = 7")
    connection.execute("INSERT INTO children VALUES (999, 77, 77)")

    result = carry_out(connection, policy)

    assert (result.details["source"], result.removed) == ("sweep", 2)
    assert (result.details["unrecorded"], result.details["unrecorded_keys"]) == (1, [["77", "77"]])
    assert track.last_audit(connection, policy) == (1, [["77", "77"]])
    assert _sources(connection, policy) == ("record", 0)


def test_a_missing_index_is_reported_with_its_statement_and_the_table_is_swept(
    connection: Connection, policy: Orphans
) -> None:
    connection.execute("DROP INDEX children_day_parent_idx")
    connection.execute("DELETE FROM parents WHERE id <= 3")

    (advice, *_) = plan_orphans(Planning(connection, 60), policy).advice

    assert "CREATE INDEX CONCURRENTLY ON public.children (day, parent)" in advice
    assert _sources(connection, policy) == ("sweep", 6)


def test_a_writer_needs_no_rights_on_the_ops_schema(connection: Connection, policy: Orphans) -> None:
    connection.execute(
        "DO $$ BEGIN CREATE ROLE plain_writer; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    connection.execute("GRANT SELECT, DELETE ON parents TO plain_writer")
    connection.execute("SET ROLE plain_writer")
    connection.execute("DELETE FROM parents WHERE id = 1")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT FROM ops.missing_parents")
    connection.execute("RESET ROLE")

    assert _sources(connection, policy) == ("record", 2)


def test_removing_tracking_leaves_no_object_behind(connection: Connection, policy: Orphans) -> None:
    assert len(triggers.remove(connection, policy.name, by="test")) == 7

    others = (
        "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text !~ '^audit_logs'"
    )
    assert scalar(connection, others) == 0
    connection.execute("DELETE FROM parents WHERE id = 1")
    assert _sources(connection, policy) == ("sweep", 2)


def test_an_orphan_that_a_sweep_and_the_record_have_seen_is_counted_once(
    connection: Connection, policies_of: PoliciesOf
) -> None:
    """Plan, guard, approval and history have the same number, and the approval covers no more rows."""
    connection.execute(TABLES)
    (policy,) = policies_of(
        "{table: children, columns: [day, parent], references: 'parents(day, id)', grace_period: 1 hour,"
        " track: true, guard: {max_fraction: 0.2}}"
    )
    triggers.install(connection, policy, by="test")
    connection.execute("DELETE FROM parents WHERE id <= 15")
    connection.execute("INSERT INTO parents VALUES (1, 1); DELETE FROM parents WHERE (day, id) = (1, 1)")
    connection.execute("INSERT INTO children VALUES (999, 77, 77)")
    holds.add(connection, "children", "id = 15", reason="case 12", owner="legal", by="test")
    marked = carry_out(connection, policy)
    an_hour_later(connection)
    planned = plan_orphans(Planning(connection, 60), policy)

    stopped = carry_out(connection, policy)

    (waiting,) = approvals.pending(connection)
    assert (planned.rows.eligible, planned.rows.total) == (29, 101)
    assert (waiting.eligible, waiting.total, waiting.exact) == (29, 101, True)
    assert (marked.details["source"], marked.details["within_grace_period"]) == ("sweep", 29)
    assert (stopped.planned, stopped.remaining, stopped.details["within_grace_period"]) == (29, 29, 0)
    approvals.approve(connection, waiting.id, "ann")
    result = carry_out(connection, policy)
    assert (result.planned, result.removed, result.remaining) == (29, 29, 0)
