"""Rows that no policy may remove, whatever their age, until somebody releases them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import psycopg
from psycopg import sql as compose
from psycopg.types.json import Jsonb

import sql
from ops_pipeline.audit import times
from ops_pipeline.database import Connection, lock_holder, row, scalar
from ops_pipeline.maintenance import audited, catalog
from ops_pipeline.maintenance.predicate import Condition, Predicate, PredicateError, from_json, parse
from ops_pipeline.policy_file import nearest

LOCK = "ops: holds"
"""The advisory lock that every removing transaction holds shared, and `add` by itself."""
WAIT = "30s"


class HoldRefusedError(Exception):
    """The hold cannot be added, found or released as asked; the message says what would be right."""


class HoldUnclearError(Exception):
    """A hold no longer fits its table, so nobody can tell which rows it covers; none may go then."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Rows of `table` (`schema.name`) that meet `predicate` are kept, for `reason`; ask `owner`."""

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

    def state(self, now: datetime) -> Literal["active", "ended", "released"]:
        """What has become of it."""
        if self.released_at is not None:
            return "released"
        return "ended" if self.ends_at is not None and self.ends_at <= now else "active"


def active(connection: Connection, relation: catalog.Relation) -> tuple[Hold, ...]:
    """The holds on the table that count now.

    A partition's are those of its whole tree. A partition that was detached has no tree any more: ask for
    its former table. A transaction that removes rows asks after it has taken `LOCK` shared; no hold can be
    added then until it is over.

    Raises HoldUnclearError when a hold names a column that the table no longer has.
    """
    holds = []
    for *values, columns in connection.execute(sql.get("holds/active"), {"oid": relation.oid}):
        hold = _hold(values)
        gone = [each.column for each in hold.predicate.conditions if each.column not in columns]
        if gone:
            raise HoldUnclearError(
                f'Hold {hold.id} is on the column "{gone[0]}", which {relation} no longer has, so what it '
                f"covers is not known. Nothing was removed. If it is over: opsctl hold release {hold.id}"
            )
        holds.append(hold)
    return tuple(holds)


def exclusion(holds: Sequence[Hold]) -> compose.Composable:
    """SQL that is true for the rows of the alias `doomed` that nobody holds, and never NULL."""
    return unheld(holds, "doomed")


def unheld(holds: Sequence[Hold], alias: str) -> compose.Composable:
    """As `exclusion`, for another alias."""
    if not holds:
        return compose.SQL("true")
    held = [compose.SQL("({})").format(hold.predicate.over(alias)) for hold in holds]
    return compose.SQL("({}) IS NOT TRUE").format(compose.SQL(" OR ").join(held))


def held_rows(
    connection: Connection,
    relation: catalog.Relation,
    condition: compose.Composable,
    holds: Sequence[Hold] | None = None,
) -> int:
    """How many of the rows that meet the condition (over the alias `doomed`) somebody holds.

    By `holds`, where given; else by those that are active. Raises as `active` does.
    """
    holds = active(connection, relation) if holds is None else holds
    if not holds:
        return 0
    statement = compose.SQL(sql.get("holds/held_rows")).format(
        table=relation.identifier, condition=condition, exclusion=exclusion(holds)
    )
    return int(scalar(connection, statement))


def covered(connection: Connection, hold: Hold, *, seconds: float) -> int | None:
    """How many rows there are now that the hold covers; None when counting takes longer than that."""
    statement = compose.SQL(sql.get("holds/held_rows")).format(
        table=catalog.relation(connection, hold.table).identifier,
        condition=compose.SQL("true"),
        exclusion=exclusion([hold]),
    )
    try:
        with connection.transaction():
            connection.execute(sql.get("plan/limit"), {"milliseconds": str(round(seconds * 1000))})
            return int(scalar(connection, statement))
    except psycopg.errors.QueryCanceled:
        return None


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
    """Keeps the rows of the table that meet the predicate (see `predicate.parse`), also future ones.

    Waits for the batches under way, up to 30 seconds: once this has returned, or its transaction has been
    committed, no row that the hold covers can be removed. The audit log says who added it.

    Raises HoldRefusedError, and PredicateError where the predicate is the problem.
    """
    relation = _held_table(connection, table)
    predicate = _fitting(connection, relation, where)
    _check_words(reason, owner, ends_at)
    values = {
        "schema": relation.schema,
        "table": relation.name,
        "predicate": Jsonb(predicate.as_json()),
        "predicate_text": str(predicate),
        "reason": reason.strip(),
        "owner": owner.strip(),
        "by": by,
        "ends_at": ends_at,
    }
    try:
        with connection.transaction():
            connection.execute(sql.get("holds/lock"), {"lock_timeout": WAIT})
            hold = _hold(row(connection, sql.get("holds/add"), values))
            audited.note(connection, "hold.added", _described(hold), by=by)
    except psycopg.errors.LockNotAvailable:
        raise HoldRefusedError(
            f"Rows are being removed by {lock_holder(connection, LOCK)}, in one transaction for more than "
            f"{WAIT}, and may be those to be held. Nothing was held; add the hold again when that is over"
        ) from None
    return hold


def release(connection: Connection, hold_id: int, *, by: str) -> Hold:
    """Lets the rows go again, as far as no other hold covers them. The audit log says who did.

    Raises HoldRefusedError when there is no such hold, or it was released before.
    """
    with connection.transaction():
        released = connection.execute(sql.get("holds/release"), {"id": hold_id, "by": by}).fetchone()
        found = connection.execute(sql.get("holds/one"), {"id": hold_id}).fetchone()
        if found is None:
            raise HoldRefusedError(f"There is no hold {hold_id}; `opsctl hold list` shows those there are")
        hold = _hold(found)
        if released is None:
            raise HoldRefusedError(
                f"Hold {hold_id} was released before, on {hold.released_at:%Y-%m-%d %H:%M} UTC by "
                f"{hold.released_by}; nothing was changed"
            )
        audited.note(connection, "hold.released", _described(hold), by=by)
    return hold


def list_holds(connection: Connection) -> list[Hold]:
    """Every hold there ever was, the newest first."""
    return [_hold(each) for each in connection.execute(sql.get("holds/list"))]


def _hold(values: Sequence[Any]) -> Hold:
    hold_id, table, predicate, *others = values
    return Hold(hold_id, table, from_json(predicate), *others)


def _described(hold: Hold) -> dict[str, Any]:
    return {
        "hold": hold.id,
        "table": hold.table,
        "where": str(hold.predicate),
        "reason": hold.reason,
        "owner": hold.owner,
        "ends_at": hold.ends_at.isoformat() if hold.ends_at else None,
    }


def _held_table(connection: Connection, table: str) -> catalog.Relation:
    try:
        relation = catalog.relation(connection, table)
    except LookupError as error:
        raise HoldRefusedError(f"table: {error}") from None
    root = connection.execute(sql.get("catalog/root"), {"oid": relation.oid}).fetchone()
    if root is not None:
        raise HoldRefusedError(f"table: {relation} is a partition of {root[0]}; hold rows of {root[0]}")
    return relation


def _check_words(reason: str, owner: str, ends_at: datetime | None) -> None:
    for name, text, what in (
        ("reason", reason, "say why the rows are held"),
        ("owner", owner, "say whom to ask before they are released"),
    ):
        if not text.strip():
            raise HoldRefusedError(f"{name}: is empty; {what}")
        if "\0" in text:
            raise HoldRefusedError(f"{name}: PostgreSQL cannot keep the NUL character")
    if ends_at is not None and ends_at <= datetime.now(UTC):
        raise HoldRefusedError(f"until: {ends_at:%Y-%m-%d %H:%M} UTC has passed already")


def _fitting(connection: Connection, relation: catalog.Relation, where: str) -> Predicate:
    """The predicate, held against the table's columns and their types, with its times made absolute."""
    types = catalog.columns(connection, relation)
    now = datetime.now(UTC)
    fitted = []
    for each in parse(where).conditions:
        if each.column not in types:
            problem = f'{relation} has no column "{each.column}"; {nearest(each.column, list(types))}'
            raise PredicateError(where, each.column_at, problem)
        of_type = types[each.column]
        if of_type in catalog.TIME_TYPES:
            fitted.append(_moment(each, where, now))
            continue
        if each.operator != "=":
            problem = f"{each.column} is {of_type}; {each.operator} is for columns of time or date, = for all"
            raise PredicateError(where, each.operator_at, problem)
        _try(connection, relation, each, of_type, where)
        fitted.append(each)
    return Predicate(tuple(fitted))


def _moment(condition: Condition, where: str, now: datetime) -> Condition:
    # What is relative to now would cover other rows every night.
    try:
        return replace(condition, value=times.read(str(condition.value), now))
    except ValueError as error:
        raise PredicateError(where, condition.value_at, str(error)) from None


def _try(
    connection: Connection, relation: catalog.Relation, condition: Condition, of_type: str, where: str
) -> None:
    statement = compose.SQL(sql.get("holds/meets")).format(
        table=relation.identifier, condition=condition.over("doomed")
    )
    try:
        with connection.transaction():
            connection.execute(statement)
    except psycopg.errors.UndefinedFunction:
        problem = f"{condition.column} is {of_type}, which nothing equals; hold the rows by another column"
        raise PredicateError(where, condition.column_at, problem) from None
    except psycopg.DataError as error:
        problem = f"{condition.column} is {of_type}, and {error.diag.message_primary}"
        raise PredicateError(where, condition.value_at, problem) from None
