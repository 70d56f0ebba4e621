"""Inserts staged rows into their table, and checks that all of them are there unchanged."""

from collections.abc import Sequence

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.archive.staging import Staged
from ops_pipeline.archive.target import UNTOUCHED, RestoreRefusedError, Target
from ops_pipeline.audit.event import SERVER_COLUMNS
from ops_pipeline.counted import counted
from ops_pipeline.postgres.connection import Connection, row, scalar
from ops_pipeline.postgres.equality import operator_sign
from ops_pipeline.postgres.relation import audit_logs


def insert(connection: Connection, staged: Staged, target: Target) -> None:
    """Inserts the rows, in the caller's transaction, and checks that they are unchanged.

    Raises RestoreRefusedError, with an example, when some conflict with existing rows, and when a trigger
    changes them; psycopg.IntegrityError and psycopg.DataError when the table rejects them.
    """
    restored = target.taken(staged.columns)
    unknown = _unknown(staged, target)
    deferrable = scalar(connection, sql.get("archive/has_deferrable_key"), {"oid": target.relation.oid})
    shared = {"target": target.relation.identifier, "staging": staged.identifier}
    statement = compose.SQL(sql.get("archive/put_back")).format(
        **shared,
        columns=_listed(
            [compose.Identifier(name) for name in [*(column.name for column in restored), *unknown]]
        ),
        inserted=_listed(
            [*(staged.value(column) for column in restored), *[compose.SQL("NULL")] * len(unknown)]
        ),
        values=_listed([staged.value(column) for column in restored]),
        put=_listed([compose.Identifier("put", column.name) for column in restored]),
        on_conflict=compose.SQL("" if deferrable else "ON CONFLICT DO NOTHING"),
    )
    with connection.transaction():
        if deferrable:  # then a conflict is an error of this statement, which names the key
            connection.execute(sql.get("postgres/check_now"))
        expected, put, same = row(connection, statement)
        if put != expected or not same:
            raise psycopg.Rollback  # of this statement only; the staged rows are kept to find an example
    if put != expected:
        raise RestoreRefusedError(_colliding(connection, staged, target, expected, expected - put))
    if not same:
        raise RestoreRefusedError(
            f"A trigger of {target.relation} changes inserted rows, so they would not be restored exactly. "
            f"{UNTOUCHED}"
        )


def _unknown(staged: Staged, target: Target) -> list[str]:
    """The columns that only the server sets and that archived audit events of an older version lack. Their
    defaults would say that the events arrived now, by SQL."""
    if target.relation.table_name != audit_logs():
        return []
    archived = {column.name for column in staged.columns}
    return [column.name for column in target.columns if column.name in {*SERVER_COLUMNS} - archived]


def _colliding(connection: Connection, staged: Staged, target: Target, rows: int, left_out: int) -> str:
    by_name = {column.name: column for column in staged.columns}
    keys = connection.execute(sql.get("archive/unique_keys"), {"oid": target.relation.oid}).fetchall()
    for key, operators in keys:
        if not set(key) <= by_name.keys():
            continue
        parts = {
            "staging": staged.identifier,
            "target": target.relation.identifier,
            "values": _listed([staged.value(by_name[name]) for name in key]),
            "same_key": compose.SQL(" AND ").join(
                compose.SQL("{} {} {}").format(
                    compose.Identifier("there", name), operator_sign(*operator), staged.value(by_name[name])
                )
                for name, operator in zip(key, operators, strict=True)
            ),
        }
        for statement, what in (
            ("archive/collision", "already exist"),
            ("archive/twice", "occur twice"),
        ):
            example = connection.execute(compose.SQL(sql.get(statement)).format(**parts)).fetchone()
            if example is not None:
                conflict = "conflicts" if left_out == 1 else "conflict"
                return (
                    f"{left_out:,} of the {counted(rows, 'row')} {conflict} in {target.relation}: their keys "
                    f"({', '.join(key)}) {what}, for example {example[0]}. {UNTOUCHED}"
                )
    return (
        f"{left_out:,} of the {counted(rows, 'row')} cannot be inserted into {target.relation}: a "
        f"constraint or a trigger rejects them. {UNTOUCHED}"
    )


def _listed(items: Sequence[compose.Composable]) -> compose.Composable:
    return compose.SQL(", ").join(items)
