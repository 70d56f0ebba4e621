"""Staged rows put into their table, all of them and as they were."""

from collections.abc import Sequence

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.archive.staging import Staged
from ops_pipeline.archive.target import UNTOUCHED, RestoreRefusedError, Target
from ops_pipeline.postgres.connection import Connection, row, scalar
from ops_pipeline.postgres.equality import operator_sign


def insert(connection: Connection, staged: Staged, target: Target) -> None:
    """Puts the rows in, in the caller's transaction, and makes sure that they are what they were.

    Raises RestoreRefusedError, with an example, when some collide with rows that are there, and when the
    table changes them; psycopg.IntegrityError and psycopg.DataError when the table refuses them.
    """
    restored = target.taken(staged.columns)
    deferrable = scalar(connection, sql.get("archive/has_deferrable_key"), {"oid": target.relation.oid})
    shared = {"target": target.relation.identifier, "staging": staged.identifier}
    statement = compose.SQL(sql.get("archive/put_back")).format(
        **shared,
        columns=_listed([compose.Identifier(column.name) for column in restored]),
        values=_listed([staged.value(column) for column in restored]),
        put=_listed([compose.Identifier("put", column.name) for column in restored]),
        on_conflict=compose.SQL("" if deferrable else "ON CONFLICT DO NOTHING"),
    )
    with connection.transaction():
        if deferrable:  # a collision is an error of this statement then, and names its key
            connection.execute(sql.get("postgres/check_now"))
        expected, put, same = row(connection, statement)
        if put != expected or not same:
            raise psycopg.Rollback  # of this statement alone; what is staged is still there to be looked at
    if put != expected:
        raise RestoreRefusedError(_colliding(connection, staged, target, expected, expected - put))
    if not same:
        raise RestoreRefusedError(
            f"A trigger of {target.relation} changes rows on their way in, so they would not be what they "
            f"were. {UNTOUCHED}"
        )


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
            ("archive/collision", "are in it already"),
            ("archive/twice", "are there twice"),
        ):
            example = connection.execute(compose.SQL(sql.get(statement)).format(**parts)).fetchone()
            if example is not None:
                return (
                    f"{left_out:,} of the {rows:,} rows collide in {target.relation}: their "
                    f"({', '.join(key)}) {what}, such as {example[0]}. {UNTOUCHED}"
                )
    return (
        f"{target.relation} does not take {left_out:,} of the {rows:,} rows: a constraint or a trigger keeps "
        f"them out. {UNTOUCHED}"
    )


def _listed(items: Sequence[compose.Composable]) -> compose.Composable:
    return compose.SQL(", ").join(items)
