"""The sequences that number a table's rows, which must not give a restored row's number to another."""

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
    """A sequence, and the column whose values come from it. It gives values from `least` to `most`."""

    column: str
    relation: Relation
    upwards: bool
    least: int
    most: int


def sequences(connection: Connection, target: Target) -> list[Sequence]:
    """The sequences of the table's columns. Raises RestoreRefusedError when the present user may not move
    one."""
    rows = connection.execute(sql.get("archive/sequences"), {"oid": target.relation.oid}).fetchall()
    for column, _, schema, name, *_, movable in rows:
        if not movable:
            raise RestoreRefusedError(
                f"{target.relation} takes its {column} from a sequence that has to continue after the "
                "restored rows, which this user may not have it do: GRANT SELECT, UPDATE ON SEQUENCE "
                f"{written(schema, name)} TO {present_user(connection)}. {UNTOUCHED}"
            )
    return [
        Sequence(column, Relation(oid, schema, name), upwards, least, most)
        for column, oid, schema, name, upwards, least, most, _ in rows
    ]


def move_on(connection: Connection, numbering: Several[Sequence], staged: Several[Staged]) -> tuple[str, ...]:
    """Has them continue above the staged rows; answers with those that were not there yet.

    A rollback does not undo it: some numbers are given to no row then.
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
    # Values as literals: with parameters, a percent sign in a column's name would be taken for one.
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
