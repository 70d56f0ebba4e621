"""Advances a table's sequences beyond restored rows, so that no new row gets a restored row's number."""

from collections.abc import Sequence as Several
from dataclasses import dataclass

from psycopg import sql as compose

import sql
from ops_pipeline.archive.staging import Staged
from ops_pipeline.archive.target import UNTOUCHED, RestoreRefusedError, Target, present_user, written
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence, and the column whose values come from it. Its values are from `least` to `most`."""

    column: str
    relation: Relation
    upwards: bool
    least: int
    most: int


def sequences(connection: Connection, target: Target) -> list[Sequence]:
    """The sequences of the table's columns. Raises RestoreRefusedError when the current user may not advance
    one."""
    rows = connection.execute(sql.get("archive/sequences"), {"oid": target.relation.oid}).fetchall()
    for column, _, schema, name, *_, movable in rows:
        if not movable:
            raise RestoreRefusedError(
                f"{column} of {target.relation} comes from a sequence that must be advanced beyond the "
                f"restored rows, which this user is not permitted to do. {UNTOUCHED}; to allow it: GRANT "
                f"SELECT, UPDATE ON SEQUENCE {written(schema, name)} TO {present_user(connection)};"
            )
    return [
        Sequence(column, Relation(oid, schema, name), upwards, least, most)
        for column, oid, schema, name, upwards, least, most, _ in rows
    ]


def move_on(connection: Connection, numbering: Several[Sequence], staged: Several[Staged]) -> tuple[str, ...]:
    """Advances the sequences beyond the staged rows; returns the names of those that were behind.

    A rollback does not undo it: some numbers remain unused then.
    """
    return tuple(f"{sequence.relation}" for sequence in numbering if _moved(connection, sequence, staged))


def _moved(connection: Connection, sequence: Sequence, staged: Several[Staged]) -> bool:
    values = [
        compose.SQL("SELECT {}::numeric FROM {} AS staged").format(
            one_schema.value(column), one_schema.identifier
        )
        for one_schema in staged
        for column in one_schema.columns
        if column.name == sequence.column
    ]
    if not values:
        return False
    # Literals, because with parameters a percent sign in a column's name would count as a placeholder.
    statement = compose.SQL(sql.get("archive/move_sequence")).format(
        oid=compose.Literal(sequence.relation.oid),
        sequence=sequence.relation.identifier,
        furthest=compose.SQL("ceil(max(value))" if sequence.upwards else "floor(min(value))"),
        values=compose.SQL(" UNION ALL ").join(values),
        least=compose.Literal(sequence.least),
        most=compose.Literal(sequence.most),
        upwards=compose.Literal(sequence.upwards),
    )
    return connection.execute(statement).fetchone() is not None
