"""Adds, confirms, releases and reads holds: rows that no policy may delete until the hold is released."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import psycopg
from psycopg import sql as compose
from psycopg.types.json import Jsonb

import sql
from ops_pipeline.audit import trail
from ops_pipeline.holds.binding import binding, remedies, unclear
from ops_pipeline.holds.fitting import fitting
from ops_pipeline.opsctl import opsctl
from ops_pipeline.postgres.advisory_lock import in_words
from ops_pipeline.postgres.condition import Predicate, from_json
from ops_pipeline.postgres.connection import Connection, database_of, row, scalar
from ops_pipeline.postgres.equality import equalities
from ops_pipeline.postgres.locks import LockedError
from ops_pipeline.postgres.relation import Relation, TableName, find_relation
from ops_pipeline.postgres.time_limit import time_limit

WAIT = "30 s"


class HoldRefusedError(Exception):
    """The hold cannot be added, confirmed or released; the message says why and what to do."""


class HoldUnclearError(Exception):
    """A hold's table or columns are not those it was made for, so it is unknown which rows it covers.

    No row of the tables concerned may be deleted then. The message says how to confirm or release the hold.
    """


@dataclass(frozen=True, slots=True)
class Hold:
    """Rows of `table` (`schema.name`) that meet `predicate` are kept, for `reason`; ask `owner`.

    `unclear`: why it is unknown which rows those are; `remedies`: the commands, one of which resolves it; the
    last one releases it.
    """

    id: int
    table: str
    predicate: Predicate
    reason: str
    owner: str
    created_at: datetime
    created_by: str
    ends_at: datetime | None = None
    released_at: datetime | None = None
    released_by: str | None = None
    unclear: str | None = None
    remedies: tuple[str, ...] = ()

    @property
    def problem(self) -> str | None:
        """Why it is unknown which rows those are, and what to do."""
        if self.unclear is None:
            return None
        confirm = "Confirm what it covers, or release the hold" if len(self.remedies) > 1 else "Release it"
        return f"{self.unclear} {confirm} if it is over: {' or '.join(self.remedies)}"

    def state(self, now: datetime) -> Literal["active", "unclear", "ended", "released"]:
        """The hold's state. While it is unclear, policies of its tables are refused."""
        if self.released_at is not None:
            return "released"
        if self.ends_at is not None and self.ends_at <= now:
            return "ended"
        return "active" if self.problem is None else "unclear"


def active(connection: Connection, relation: Relation) -> tuple[Hold, ...]:
    """The holds on the table that apply now.

    Includes holds on its partitions and inheritance children, and on the tables that it is one of. For a
    detached partition, ask for its former table. A transaction that deletes rows calls `ops.keep_holds()`
    first; no hold can be added then until it ends.

    Raises HoldUnclearError when the table or a column of a hold is not the one that it was made for.
    """
    holds = []
    rows = connection.execute(sql.get("holds/active"), {"oid": relation.oid}).fetchall()
    operators = equalities(connection, relation) if rows else {}
    for *values, columns in rows:
        hold = _hold(connection, values)
        if hold.problem is not None:
            raise HoldUnclearError(hold.problem)
        lacking = [
            condition.column for condition in hold.predicate.conditions if condition.column not in columns
        ]
        if lacking:
            raise HoldUnclearError(
                f"Hold {hold.id} on {hold.table} ({hold.predicate}) also covers rows of {relation}, which "
                f'has no column "{lacking[0]}" to identify them, so no policy deletes from it. Write a '
                f"policy for {hold.table} instead of {relation}. If the hold is over: "
                + opsctl("hold", "release", hold.id, database=database_of(connection))
            )
        holds.append(replace(hold, predicate=hold.predicate.comparing(operators)))
    return tuple(holds)


def exclusion(holds: Sequence[Hold], alias: str = "target") -> compose.Composable:
    """SQL that is true for the rows of that alias that are not on hold. Never NULL."""
    if not holds:
        return compose.SQL("true")
    conditions = [compose.SQL("({})").format(hold.predicate.over(alias)) for hold in holds]
    return compose.SQL("({}) IS NOT TRUE").format(compose.SQL(" OR ").join(conditions))


def rows_on_hold(
    connection: Connection,
    relation: Relation,
    condition: compose.Composable,
    holds: Sequence[Hold] | None = None,
) -> int:
    """How many of the rows that meet the condition (over the alias `target`) are on hold.

    `holds`: the holds to apply; None: those that are active. Raises as `active` does.
    """
    holds = active(connection, relation) if holds is None else holds
    if not holds:
        return 0
    statement = compose.SQL(sql.get("holds/rows_on_hold")).format(
        table=relation.identifier, condition=condition, exclusion=exclusion(holds)
    )
    return int(scalar(connection, statement))


def covered(connection: Connection, hold: Hold, *, seconds: float) -> int | None:
    """How many rows the hold covers now; None when counting takes longer than `seconds`, or when not every
    row of the table is visible."""
    table = find_relation(connection, TableName.parse(hold.table))
    predicate = hold.predicate.comparing(equalities(connection, table))
    statement = compose.SQL(sql.get("holds/rows_on_hold")).format(
        table=table.identifier,
        condition=compose.SQL("true"),
        exclusion=exclusion([replace(hold, predicate=predicate)]),
    )
    try:
        with time_limit(connection, seconds):
            return int(scalar(connection, statement))
    except (psycopg.errors.QueryCanceled, psycopg.errors.InsufficientPrivilege):
        return None


def lost(connection: Connection, table: TableName) -> str:
    """What to do about holds that were made for a table which no longer has that name; empty if none were."""
    if not scalar(connection, sql.get("holds/are_bound")):
        return ""
    values, database = {"schema": table.schema, "name": table.name}, database_of(connection)
    made = [
        f"hold {hold_id} was made for it"
        + (
            f", now named {now}: {opsctl('hold', 'confirm', hold_id, '--table', now, database=database)} or "
            if now
            else ": "
        )
        + opsctl("hold", "release", hold_id, database=database)
        for hold_id, now in connection.execute(sql.get("holds/made_for_missing"), values)
    ]
    return f". But {'; '.join(made)}" if made else ""


def add(
    connection: Connection,
    table: str,
    where: str,
    *,
    reason: str,
    owner: str,
    by: str,
    ends_at: datetime | None = None,
) -> Hold:
    """Protects the rows of the table that meet the predicate (see `predicate.parse`), present and future.

    Waits for running batches, up to 30 seconds: once this has returned, or its transaction is committed, no
    row that the hold covers can be deleted. The audit log records who added it.

    Raises HoldRefusedError; PredicateError for an invalid predicate; LockedError after the 30 seconds.
    """
    relation = _table_to_hold(connection, table)
    predicate = fitting(connection, relation, where)
    _check_words(reason, owner, ends_at)
    values = {
        **_bound(relation, predicate),
        "reason": reason.strip(),
        "owner": owner.strip(),
        "by": by,
        "ends_at": ends_at,
    }
    with _locked(connection):
        hold = _one(connection, scalar(connection, sql.get("holds/add"), values))
        if hold.problem is not None:
            raise HoldRefusedError(
                f"{relation} was changed by another session meanwhile. The hold was not added; add it again"
            )
        trail.record(connection, "hold.added", _described(hold), by=by)
    return hold


def release(connection: Connection, hold_id: int, *, by: str) -> Hold:
    """Releases the hold: its rows may be deleted, unless another hold covers them. The audit log records who
    released it.

    Raises HoldRefusedError when the hold does not exist or was already released.
    """
    with connection.transaction():
        if connection.execute(sql.get("holds/release"), {"id": hold_id, "by": by}).fetchone() is None:
            _unreleased(connection, hold_id)
        hold = _one(connection, hold_id)
        trail.record(connection, "hold.released", _described(hold), by=by)
    return hold


def confirm(
    connection: Connection, hold_id: int, *, by: str, table: str | None = None, where: str | None = None
) -> Hold:
    """Binds a hold to that table and predicate (None: those it has), with the columns as they are now.

    Waits as `add` does. The audit log records who confirmed it, and the hold before that. Raises
    HoldRefusedError, PredicateError and LockedError.
    """
    before = _unreleased(connection, hold_id)
    relation = _table_to_hold(connection, table or before.table)
    predicate = fitting(connection, relation, where or str(before.predicate))
    with _locked(connection):
        _unreleased(connection, hold_id)
        connection.execute(sql.get("holds/bind"), {"id": hold_id, **_bound(relation, predicate)})
        hold = _one(connection, hold_id)
        trail.record(connection, "hold.confirmed", {**_described(hold), "before": _described(before)}, by=by)
    return hold


def follow(connection: Connection, holds: Sequence[Hold], relation: Relation) -> None:
    """Binds the holds to the table that replaces theirs, in the transaction that replaces it."""
    for hold in holds:
        values = {"id": hold.id, **_bound(relation, hold.predicate)}
        connection.execute(sql.get("holds/bind"), values)


def list_holds(connection: Connection) -> list[Hold]:
    """All holds, also ended and released ones, the newest first."""
    return [_hold(connection, values) for values in connection.execute(sql.get("holds/list"))]


@contextmanager
def _locked(connection: Connection) -> Iterator[None]:
    """A transaction during which no policy deletes rows."""
    try:
        with connection.transaction():
            connection.execute(sql.get("holds/lock"), {"lock_timeout": WAIT})
            yield
    except psycopg.errors.LockNotAvailable:
        raise LockedError(
            f"Waited {WAIT} for {_deleting(connection)}, which is deleting rows, possibly ones that this "
            "hold covers. Try again when that transaction has ended"
        ) from None


def _deleting(connection: Connection) -> str:
    return in_words(connection.execute(sql.get("holds/deleting")).fetchone())


def _hold(connection: Connection, values: Sequence[Any]) -> Hold:
    hold_id, table, predicate, *others = values[:-5]
    hold = Hold(hold_id, TableName(*table).qualified, from_json(predicate), *others)
    if hold.released_at is not None:
        return hold
    bound = hold.id, hold.table, hold.predicate, binding(values[-5:])
    if (reason := unclear(*bound)) is None:
        return hold
    return replace(hold, unclear=reason, remedies=tuple(remedies(*bound, database_of(connection))))


def _one(connection: Connection, hold_id: int) -> Hold:
    return _hold(connection, row(connection, sql.get("holds/one"), {"id": hold_id}))


def _unreleased(connection: Connection, hold_id: int) -> Hold:
    values = connection.execute(sql.get("holds/one"), {"id": hold_id}).fetchone()
    if values is None:
        to_list = opsctl("hold", "list", database=database_of(connection))
        raise HoldRefusedError(f"Hold {hold_id} does not exist; to list all holds: {to_list}")
    hold = _hold(connection, values)
    if hold.released_at is not None:
        raise HoldRefusedError(
            f"Hold {hold_id} was already released, on {hold.released_at:%Y-%m-%d %H:%M} UTC by "
            f"{hold.released_by}; nothing was changed"
        )
    return hold


def _bound(relation: Relation, predicate: Predicate) -> dict[str, Any]:
    return {
        "schema": relation.schema,
        "table": relation.name,
        "oid": relation.oid,
        "predicate": Jsonb(predicate.as_json()),
        "predicate_text": str(predicate),
    }


def _described(hold: Hold) -> dict[str, Any]:
    return {
        "hold": hold.id,
        "table": hold.table,
        "where": str(hold.predicate),
        "reason": hold.reason,
        "owner": hold.owner,
        "ends_at": hold.ends_at.isoformat() if hold.ends_at else None,
    }


def _table_to_hold(connection: Connection, table: str) -> Relation:
    try:
        relation = find_relation(connection, TableName.parse(table))
    except (LookupError, ValueError) as error:
        raise HoldRefusedError(f"table: {error}") from None
    root = connection.execute(sql.get("holds/root"), {"oid": relation.oid}).fetchone()
    if root is not None:
        raise HoldRefusedError(f"table: {relation} is a partition of {root[0]}; name {root[0]} instead")
    return relation


def _check_words(reason: str, owner: str, ends_at: datetime | None) -> None:
    for name, text, what in (
        ("reason", reason, "say why the rows are on hold"),
        ("owner", owner, "say whom to ask before they are released"),
    ):
        if not text.strip():
            raise HoldRefusedError(f"{name}: must not be empty; {what}")
        if "\0" in text:
            raise HoldRefusedError(f"{name}: PostgreSQL cannot store the NUL character")
    if ends_at is not None and ends_at <= datetime.now(UTC):
        raise HoldRefusedError(f"until: {ends_at:%Y-%m-%d %H:%M} UTC is in the past; write a future time")
