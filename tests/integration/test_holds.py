"""Rows on hold are kept from the moment a hold is added until the last one on them is released."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql as compose
from psycopg.conninfo import make_conninfo

import sql
from ops_pipeline.holds import holds
from ops_pipeline.postgres.condition import PredicateError
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.locks import LockedError
from tests.eventually import eventually
from tests.named import named

ALL = compose.SQL("true")
THINGS = """
CREATE TYPE color AS ENUM ('red', 'green');
CREATE TABLE things (
  id int PRIMARY KEY, tenant_id int, code char(5), name varchar(3), color color, owner uuid, place inet,
  amount numeric(6, 2), data json, at timestamptz, local timestamp, day date, good boolean
);
INSERT INTO things
SELECT n, nullif(n % 4, 3), 'c' || n % 2, 'n' || n % 2, (ARRAY['red', 'green'])[1 + n % 2]::color,
       ('00000000-0000-0000-0000-00000000000' || n % 2)::uuid, ('10.0.0.' || n % 2)::inet, n % 2 + 0.5, '{}',
       timestamptz '2026-01-01 00:00Z' + n * interval '6 hours',
       timestamp '2026-01-01 00:00' + n * interval '6 hours',
       date '2026-01-01' + n, n % 2 = 0
FROM generate_series(0, 11) AS n
"""


@pytest.fixture
def things(connection: Connection) -> Connection:
    """Twelve rows, one every six hours from 2026 on; the tenant of every fourth is NULL."""
    connection.execute(THINGS)
    return connection


@pytest.fixture
def hold(things: Connection) -> Callable[..., holds.Hold]:
    """Adds a hold on the things."""

    def add(where: str, **given: Any) -> holds.Hold:
        said = {"reason": "case 12", "owner": "legal", "by": "ann", **given}
        return holds.add(things, "things", where, **said)

    return add


def free(connection: Connection, table: str = "things") -> list[int]:
    """The rows that a policy could delete."""
    active = holds.active(connection, named(connection, table))
    statement = compose.SQL("SELECT id FROM {} AS target WHERE {} ORDER BY id").format(
        compose.Identifier(table), holds.exclusion(active)
    )
    return [each for (each,) in connection.execute(statement)]


HELD: dict[str, set[int]] = {
    "tenant_id = 1": {1, 5, 9},
    "tenant_id = 1 AND at >= 2026-01-02": {5, 9},
    "at >= 2026-01-02 AND at < 2026-01-03": {4, 5, 6, 7},
    "at > 2026-01-03T12:00:00Z": {11},
    "at <= 2026-01-01T02:00:00+02:00": {0},
    "local >= 2026-01-03T01:00:00+01:00": {8, 9, 10, 11},
    "day >= 2026-01-11T12:00:00Z": {11},
    "day = 2026-01-01": {0},
    "at < -1s AND tenant_id = 0": {0, 4, 8},
    "code = c1 AND at < 2026-01-02": {1, 3},
    "name = n1x": set(),
    "color = green AND id = 1": {1},
    "owner = 00000000-0000-0000-0000-000000000001 AND id = 1": {1},
    "place = 10.0.0.1 AND id = 1": {1},
    "amount = 0.504": set(),
    "amount = 0.50 AND id = 0": {0},
    "good = true AND id = 2": {2},
}


def test_rows_that_match_the_predicate_are_on_hold(
    things: Connection, hold: Callable[..., holds.Hold]
) -> None:
    for where, held in HELD.items():
        added = hold(where)

        assert set(range(12)) - set(free(things)) == held, where
        assert holds.rows_on_hold(things, named(things, "things"), ALL) == len(held)
        assert holds.list_holds(things)[0] == added
        assert (added.state(datetime.now(UTC)), added.owner, added.created_by) == ("active", "legal", "ann")
        holds.release(things, added.id, by="ann")


def test_without_a_hold_no_row_is_on_hold(things: Connection) -> None:
    assert free(things) == list(range(12))
    assert holds.rows_on_hold(things, named(things, "things"), ALL) == 0


def test_a_relative_time_is_fixed_when_the_hold_is_added(hold: Callable[..., holds.Hold]) -> None:
    (condition,) = hold("at >= -7d").predicate.conditions

    assert isinstance(condition.value, datetime)
    assert abs(datetime.now(UTC) - timedelta(days=7) - condition.value) < timedelta(minutes=1)


def test_a_row_under_two_holds_is_deleted_when_both_are_released(
    things: Connection, hold: Callable[..., holds.Hold]
) -> None:
    first, second = hold("tenant_id = 1"), hold("at < 2026-01-01T12:00:00Z")
    assert free(things) == [2, 3, 4, 6, 7, 8, 10, 11]

    assert holds.release(things, first.id, by="bob").state(datetime.now(UTC)) == "released"
    assert free(things) == list(range(2, 12))
    holds.release(things, second.id, by="bob")
    assert free(things) == list(range(12))


def test_a_hold_expires(things: Connection, hold: Callable[..., holds.Hold]) -> None:
    added = hold("tenant_id = 1", ends_at=datetime.now(UTC) + timedelta(hours=1))
    assert len(free(things)) == 9

    things.execute("UPDATE ops.legal_holds SET ends_at = now() - interval '1 second'")

    assert len(free(things)) == 12
    (listed,) = holds.list_holds(things)
    assert (listed.id, listed.state(datetime.now(UTC))) == (added.id, "ended")


def test_adding_and_releasing_is_audited(things: Connection, hold: Callable[..., holds.Hold]) -> None:
    added = hold("tenant_id = 1")
    holds.release(things, added.id, by="bob")

    events = things.execute(
        "SELECT action, created_by, details ->> 'hold', details ->> 'where', details ->> 'reason'"
        " FROM audit_logs WHERE event_type = 'maintenance' ORDER BY created_at"
    ).fetchall()
    assert events == [
        ("hold.added", "ann", str(added.id), "tenant_id = 1", "case 12"),
        ("hold.released", "bob", str(added.id), "tenant_id = 1", "case 12"),
    ]


WRONG = {
    "tenant = 1": (1, 'did you mean "tenant_id"?'),
    "tenant_id = x": (13, "invalid input syntax for type integer"),
    "tenant_id = 99999999999": (13, "out of range"),
    "owner = 7": (9, "invalid input syntax for type uuid"),
    "color = blue": (9, "invalid input value for enum"),
    "data = '{}'": (1, "data is json, which has no = operator"),
    "id = 1 AND tenant_id >= 7": (22, ">= requires a timestamp or date column"),
    "at >= yesterday": (7, "write ISO 8601"),
    "at = infinity": (6, "write ISO 8601"),
}


def test_a_mistake_in_the_predicate_is_pointed_at(
    things: Connection, hold: Callable[..., holds.Hold]
) -> None:
    for where, (character, advice) in WRONG.items():
        with pytest.raises(PredicateError) as caught:
            hold(where)

        assert str(caught.value).startswith(f"where: character {character}: ")
        assert advice in str(caught.value)
    assert holds.list_holds(things) == []


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({"reason": " "}, "reason: must not be empty"),
        ({"owner": ""}, "owner: must not be empty"),
        ({"ends_at": datetime(2020, 1, 1, tzinfo=UTC)}, "until: 2020-01-01 00:00 UTC is in the past"),
    ],
)
def test_a_hold_needs_a_reason_an_owner_and_a_valid_expiry(
    hold: Callable[..., holds.Hold], given: dict[str, Any], advice: str
) -> None:
    with pytest.raises(holds.HoldRefusedError, match=advice):
        hold("tenant_id = 1", **given)


def test_a_table_that_does_not_exist_is_refused_with_similar_names(things: Connection) -> None:
    with pytest.raises(
        holds.HoldRefusedError, match='table: table "thing" does not exist; did you mean "things"'
    ):
        holds.add(things, "thing", "id = 1", reason="x", owner="y", by="z")


def test_only_an_active_hold_can_be_released_and_only_once(
    things: Connection, hold: Callable[..., holds.Hold]
) -> None:
    with pytest.raises(holds.HoldRefusedError, match="Hold 99 does not exist"):
        holds.release(things, 99, by="bob")
    added = hold("tenant_id = 1")
    holds.release(things, added.id, by="bob")
    with pytest.raises(holds.HoldRefusedError, match=r"was already released, on .* by bob"):
        holds.release(things, added.id, by="carl")

    assert scalar(things, "SELECT count(*) FROM audit_logs WHERE action = 'hold.released'") == 1


def test_a_hold_on_a_table_covers_its_partitions(connection: Connection) -> None:
    connection.execute(
        "CREATE TABLE parted (id int, at timestamptz) PARTITION BY RANGE (at);"
        "CREATE TABLE parted_2026 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')"
        " PARTITION BY RANGE (at);"
        "CREATE TABLE parted_q1 PARTITION OF parted_2026 FOR VALUES FROM ('2026-01-01') TO ('2026-04-01');"
        "INSERT INTO parted SELECT n, '2026-02-01' FROM generate_series(1, 3) AS n"
    )
    holds.add(connection, "parted", "id = 2", reason="x", owner="y", by="z")

    for table in ("parted_q1", "parted_2026", "parted"):
        assert free(connection, table) == [1, 3]
    with pytest.raises(holds.HoldRefusedError, match=r"parted_q1 is a partition of public\.parted; name"):
        holds.add(connection, "parted_q1", "id = 1", reason="x", owner="y", by="z")


def test_a_hold_whose_column_is_missing_keeps_every_row(
    things: Connection, hold: Callable[..., holds.Hold]
) -> None:
    added = hold("tenant_id = 1")
    things.execute("ALTER TABLE things RENAME tenant_id TO tenant")

    with pytest.raises(holds.HoldUnclearError, match=f"opsctl hold release {added.id}"):
        holds.active(things, named(things, "things"))


def test_a_hold_waits_for_the_batch_under_way(
    things: Connection, hold: Callable[..., holds.Hold], url: str
) -> None:
    with connect(url, "a batch") as batch, batch.transaction():
        batch.execute(sql.get("maintenance/retention/lock_shared"))
        adding = threading.Thread(target=hold, args=["tenant_id = 1"])
        adding.start()
        adding.join(0.3)
        assert adding.is_alive(), "it has not returned while rows may still go"
        assert holds.active(batch, named(batch, "things")) == ()
    adding.join(10)

    assert len(free(things)) == 9


def test_a_batch_that_waited_for_a_hold_keeps_its_rows(things: Connection, url: str) -> None:
    """Even if transactions of the database see only what was committed when they began."""
    things.execute(
        compose.SQL("ALTER DATABASE {} SET default_transaction_isolation = 'serializable'").format(
            compose.Identifier(things.info.dbname)
        )
    )
    waiting = "SELECT count(*) FROM pg_locks WHERE mode = 'RowShareLock' AND NOT granted"
    seen: list[holds.Hold] = []

    def remove() -> None:
        with connect(url, "a batch", lock_timeout="10s") as batch, batch.transaction():
            batch.execute(sql.get("maintenance/retention/lock_shared"))
            seen.extend(holds.active(batch, named(batch, "things")))

    removing = threading.Thread(target=remove)
    with connect(url, "ann") as person, person.transaction():
        added = holds.add(person, "things", "id = 1", reason="x", owner="y", by="ann")
        removing.start()
        eventually(lambda: scalar(things, waiting))
    removing.join(10)

    assert seen == [added]


def test_a_reader_cannot_prevent_a_hold(
    things: Connection, hold: Callable[..., holds.Hold], url: str
) -> None:
    things.execute("CREATE ROLE stranger LOGIN PASSWORD 'x' IN ROLE ops_reader")
    try:
        with connect(make_conninfo(url, user="stranger", password="x"), "stranger") as stranger:
            stranger.execute("SELECT pg_advisory_lock_shared(hashtextextended('ops: holds', 0))")
            for way in ("SELECT ops.keep_holds()", "LOCK TABLE ops.legal_holds IN ROW SHARE MODE"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege), stranger.transaction():
                    stranger.execute(way)

            assert hold("tenant_id = 1").id
    finally:
        things.execute("DROP ROLE stranger")


def test_a_hold_that_waits_too_long_is_not_added(
    things: Connection, hold: Callable[..., holds.Hold], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "WAIT", "100ms")
    with connect(url, "a long batch") as batch, batch.transaction():
        batch.execute(sql.get("maintenance/retention/lock_shared"))

        with pytest.raises(LockedError, match=r"Waited .* for a long batch \(pid .* Nothing was changed"):
            hold("tenant_id = 1")

    assert holds.list_holds(things) == []
    assert scalar(things, "SELECT count(*) FROM audit_logs") == 0
