"""A hold is bound to its table and columns; when those are replaced, nothing is deleted."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ops_pipeline.holds import holds
from ops_pipeline.holds.holds import Hold, HoldUnclearError
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import Unplanned
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.partitions.adopt.adopt import adopt_table
from ops_pipeline.policies.model import Database, GuardLimits
from ops_pipeline.postgres.condition import PredicateError
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.migrations import migrate
from ops_pipeline.postgres.relation import TableName, find_relation
from tests.named import named

Read = Callable[..., Database]

BOTH = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    guard: {max_fraction: 1}
    retention:
      - {table: sessions, column: created_at, keep: 30 days}
      - {table: former.old_sessions, column: created_at, keep: 30 days}
"""
OTHER = "CREATE SCHEMA former; CREATE TABLE former.old_sessions (LIKE sessions INCLUDING ALL);"
COPY = "CREATE TABLE sessions AS SELECT * FROM former.old_sessions"
MOVE = "ALTER TABLE sessions SET SCHEMA former; ALTER TABLE former.sessions RENAME TO old_sessions;"

SWAP = """
ALTER TABLE former.x SET SCHEMA public;
ALTER TABLE x RENAME TO sessions;
INSERT INTO sessions SELECT * FROM former.old_sessions;
"""


@pytest.fixture
def held(application: Connection) -> Hold:
    """A hold on every session."""
    application.execute("ALTER TABLE sessions ADD tenant int DEFAULT 7, ADD other int DEFAULT 8")
    return holds.add(application, "sessions", "tenant = 7", reason="case 12", owner="legal", by="ann")


def refused(connection: Connection, database: Database) -> list[str]:
    """The refusals of the policies, the same in plan and run; no row is deleted."""
    messages = []
    for policy, planned in zip(database.policies, plan(connection, database.policies), strict=True):
        assert isinstance(planned, Unplanned), f"{policy.name} was planned: {planned}"
        with pytest.raises((HoldUnclearError, LookupError)) as caught:
            carry_out(connection, policy)
        assert str(caught.value) in planned.problem
        messages.append(planned.problem)
    assert scalar(connection, "SELECT coalesce(sum(rows_removed), 0) FROM ops.maintenance_runs") == 0
    return messages


@pytest.mark.parametrize(
    "change",
    [
        f"CREATE SCHEMA former; {MOVE} {COPY}",
        f"{OTHER} ALTER TABLE former.old_sessions RENAME TO x; {MOVE} {SWAP}",
    ],
    ids=["moved and made again", "swapped"],
)
def test_a_hold_whose_table_was_replaced_stops_the_policies_of_both_tables(
    application: Connection, read: Read, held: Hold, change: str
) -> None:
    application.execute(change)

    for message in refused(application, read(BOTH)):
        assert message == (
            f"Hold {held.id} (tenant = 7) was made for the table that is now former.old_sessions, and "
            "public.sessions is another table now, so it is unknown which rows it covers. Until that is "
            "known, no policy deletes from its table. Confirm what it covers, or release the hold if it is "
            f"over: opsctl hold confirm {held.id} --table public.sessions or opsctl hold confirm {held.id} "
            f"--table former.old_sessions or opsctl hold release {held.id}"
        )


def test_a_renamed_table_on_hold_stops_the_policies_of_both_names(
    application: Connection, read: Read, held: Hold
) -> None:
    application.execute(f"CREATE SCHEMA former; {MOVE}")

    old, new = refused(application, read(BOTH))

    assert f"opsctl hold confirm {held.id} --table former.old_sessions" in new
    assert 'table "sessions" does not exist' in old
    assert (
        f"hold {held.id} was made for it, now named former.old_sessions: "
        f"opsctl hold confirm {held.id} --table former.old_sessions or opsctl hold release {held.id}"
    ) in old
    assert scalar(application, "SELECT count(*) FROM former.old_sessions") == 6000


def test_a_table_on_hold_that_was_dropped_and_created_again_stops_its_policy(
    application: Connection, read: Read, held: Hold
) -> None:
    application.execute(f"CREATE SCHEMA former; {MOVE} {COPY}; DROP TABLE former.old_sessions")
    database = read(BOTH)

    (message,) = refused(application, replace(database, policies=database.policies[:1]))

    assert "was made for a table that no longer exists, and public.sessions is another table now" in message
    assert message.endswith(
        f"opsctl hold confirm {held.id} --table public.sessions or opsctl hold release {held.id}"
    )


@pytest.mark.parametrize(
    ("change", "said", "advice"),
    [
        (
            "ALTER TABLE sessions ALTER tenant TYPE bigint USING tenant * 10",
            "its column tenant was column 4 (integer) then and is column 4 (bigint) now",
            "opsctl hold confirm {id} or opsctl hold release",
        ),
        (
            "ALTER TABLE sessions RENAME tenant TO x; ALTER TABLE sessions RENAME other TO tenant;"
            " ALTER TABLE sessions RENAME x TO other",
            "its column tenant was column 4 (integer) then and is column 5 (integer) now; column 4 is "
            "called other now",
            "opsctl hold confirm {id} or opsctl hold confirm {id} --where 'other = 7' or opsctl hold release",
        ),
        (
            'ALTER TABLE sessions RENAME tenant TO "Ten\'ant"',
            "its column tenant does not exist now; column 4 is called Ten'ant now",
            """opsctl hold confirm {id} --where '"Ten'"'"'ant" = 7' or opsctl hold release""",
        ),
        (
            "ALTER TABLE sessions DROP tenant",
            "its column tenant does not exist now",
            "opsctl hold confirm {id} --where '…' or opsctl hold release",
        ),
    ],
    ids=["type", "swapped names", "renamed", "dropped"],
)
def test_a_hold_whose_column_was_replaced_stops_its_policy(
    application: Connection, read: Read, held: Hold, change: str, said: str, advice: str
) -> None:
    application.execute(change)
    database = read(BOTH)

    (message,) = refused(application, replace(database, policies=database.policies[:1]))

    assert message.startswith(f"Hold {held.id} (tenant = 7) was made for public.sessions, and {said}, so ")
    assert advice.format(id=held.id) in message
    (listed,) = holds.list_holds(application)
    assert listed.problem == message


def test_orphans_are_refused_where_the_hold_on_child_or_parent_is_unclear(
    application: Connection, orphans: Orphans, read: Read
) -> None:
    application.execute("ALTER TABLE sessions ADD tenant int; ALTER TABLE memories ADD tenant int")
    application.execute("INSERT INTO memories (session_id) VALUES (gen_random_uuid())")
    for table in ("memories", "sessions"):
        held = holds.add(application, table, "tenant = 7", reason="case 12", owner="legal", by="ann")
        application.execute(f"ALTER TABLE {table} ALTER tenant TYPE bigint")

        (message,) = refused(application, replace(read(), policies=(orphans,)))

        assert f"opsctl hold confirm {held.id}" in message
        holds.confirm(application, held.id, by="bob")
    assert carry_out(application, replace(orphans, guard=GuardLimits(max_fraction=1))).removed == 1


def test_a_cascade_into_a_table_whose_hold_is_unclear_is_refused(
    application: Connection, retention: Retention, read: Read
) -> None:
    application.execute(
        "CREATE TABLE uploads (session uuid REFERENCES sessions ON DELETE CASCADE, tenant int);"
        "CREATE INDEX ON uploads (session)"
    )
    held = holds.add(application, "uploads", "tenant = 7", reason="case 12", owner="legal", by="ann")
    application.execute("ALTER TABLE uploads DROP tenant, ADD tenant int")

    (message,) = refused(application, replace(read(), policies=(retention,)))

    assert f"Hold {held.id} (tenant = 7) was made for public.uploads" in message


FAMILY = """
CREATE TABLE parents (id int, tenant int);
CREATE TABLE children (extra int) INHERITS (parents);
CREATE TABLE parted (gone int, id int, tenant int) PARTITION BY LIST (id);
ALTER TABLE parted DROP gone;
CREATE TABLE part (tenant int, id int);
"""


def test_a_hold_on_an_inheritance_child_or_a_partition_counts_for_the_table_above(
    connection: Connection,
) -> None:
    connection.execute(FAMILY)
    for table in ("children", "part"):
        holds.add(connection, table, "tenant = 7", reason="x", owner="y", by="z")
    connection.execute("ALTER TABLE parted ATTACH PARTITION part DEFAULT")
    for table in ("parents", "parted", "children", "part"):
        (hold,) = holds.active(connection, named(connection, table))
        assert hold.problem is None

    connection.execute("ALTER TABLE parents ALTER tenant TYPE bigint")

    with pytest.raises(HoldUnclearError, match=r"was made for public\.children"):
        holds.active(connection, named(connection, "parents"))
    assert holds.active(connection, named(connection, "parted"))


def test_a_confirmed_hold_covers_the_confirmed_table_and_is_audited(
    application: Connection, held: Hold
) -> None:
    application.execute(f"CREATE SCHEMA former; {MOVE} {COPY}; ALTER TABLE sessions RENAME tenant TO t")

    with pytest.raises(PredicateError, match='no column "tenant"'):
        holds.confirm(application, held.id, by="bob", table="sessions")
    with pytest.raises(holds.HoldRefusedError, match="Hold 99 does not exist"):
        holds.confirm(application, 99, by="bob")
    confirmed = holds.confirm(application, held.id, by="bob", table="sessions", where="t = 7")

    assert (confirmed.table, str(confirmed.predicate), confirmed.problem) == (
        "public.sessions",
        "t = 7",
        None,
    )
    assert holds.active(application, named(application, "sessions")) == (confirmed,)
    assert holds.active(application, named(application, "former.old_sessions")) == ()
    details = scalar(application, "SELECT details FROM audit_logs WHERE action = 'hold.confirmed'")
    assert (details["where"], details["before"]["where"]) == ("t = 7", "tenant = 7")
    holds.release(application, held.id, by="bob")
    with pytest.raises(holds.HoldRefusedError, match=f"Hold {held.id} was already released"):
        holds.confirm(application, held.id, by="bob")


def test_holds_from_an_earlier_version_are_bound_by_the_migration(
    application: Connection, url: str, held: Hold
) -> None:
    lost = holds.add(application, "memories", "content = x", reason="x", owner="y", by="z")
    application.execute(
        "ALTER TABLE memories DROP content; DROP VIEW ops.holds_now; DROP FUNCTION ops.columns_of;"
        "ALTER TABLE ops.legal_holds DROP table_oid, DROP table_columns;"
        "DELETE FROM ops.migrations WHERE name = '0013_hold_bindings'"
    )

    assert migrate(url) == ["0013_hold_bindings"]

    kept, bound = holds.list_holds(application)
    assert (bound, kept.id) == (held, lost.id)
    assert "its column content does not exist now" in str(kept.problem)


def test_a_hold_stays_in_force_when_its_table_is_adopted(application: Connection, held: Hold) -> None:
    application.execute("ALTER TABLE sessions ADD at timestamp DEFAULT now(), DROP note")
    holds.add(application, "sessions", "at > 2020-01-01", reason="x", owner="y", by="z")

    adopt_table(
        application,
        find_relation(application, TableName("public", "sessions")),
        column="at",
        time_zone="Europe/Berlin",
    )

    converted, kept = holds.list_holds(application)
    assert (kept, kept.problem) == (held, None), "it is bound to the new table"
    assert "is another table now" in str(converted.problem), "its times are others"
