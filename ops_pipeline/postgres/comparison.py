"""How PostgreSQL compares a child's columns with those of its parent, whatever the search path is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import LiteralString, cast

from psycopg import sql as compose

import sql
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation

QualifiedName = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Equality of a child's column and its parent's, as a foreign key between them has it.

    `operator` takes a value of `parent_type` and one of `child_type`. `key_type` is that of these two which
    holds the values of both, and `key_array` an array of it. `collation`: where text is not compared by the
    default one. `child_indexable`: an index on the child's column finds the rows that have a key.
    """

    operator: QualifiedName
    parent_type: QualifiedName
    child_type: QualifiedName
    key_type: QualifiedName
    key_array: QualifiedName
    collation: QualifiedName | None
    child_indexable: bool

    def equal(self, one: compose.Composable, other: compose.Composable) -> compose.Composed:
        """True where two values are equal, each of a parent, a child, or a key."""
        return compose.SQL("{} {} {}").format(one, self.sign, other)

    @property
    def sign(self) -> compose.Composed:
        """The operator; that of other types among these has the same name, and PostgreSQL takes it by them."""
        return operator_sign(*self.operator)

    def of_parent(self, column: compose.Composable) -> compose.Composed:
        """The parent's column as it is compared."""
        return _cast(column, self.parent_type)

    def of_child(self, column: compose.Composable) -> compose.Composed:
        """The child's column as it is compared."""
        return self._collated(_cast(column, self.child_type))

    def key_of_child(self, column: compose.Composable) -> compose.Composed:
        """The child's column as a key to be kept."""
        return self._collated(_cast(column, self.key_type))

    def keys(self, text: compose.Composable) -> compose.Composed:
        """An array of keys that was kept as text."""
        return self._collated(_cast(text, self.key_array))

    def _collated(self, value: compose.Composed) -> compose.Composed:
        if self.collation is None:
            return value
        return compose.SQL("({} COLLATE {})").format(value, compose.Identifier(*self.collation))


def comparisons(
    connection: Connection,
    child: Relation,
    columns: Sequence[str],
    parent: Relation,
    parent_columns: Sequence[str],
) -> tuple[Comparison, ...]:
    """How each of the child's columns is compared with the parent's in its place.

    Raises LookupError where PostgreSQL has no operator for two of them, and would refuse a foreign key.
    """
    values = {
        "child": child.oid,
        "columns": list(columns),
        "parent": parent.oid,
        "parent_columns": list(parent_columns),
    }
    found = tuple(_comparisons(connection, values))
    if len(found) < len(columns):
        raise LookupError(
            f"{', '.join(columns)} of {child} cannot be compared with {', '.join(parent_columns)} of {parent}: "
            "PostgreSQL has no operator for their types"
        )
    return found


def operator_sign(schema: str, name: str) -> compose.Composed:
    """The operator of that schema and name."""
    # The catalog says the name, and PostgreSQL lets it have nothing but operator characters.
    return compose.SQL("OPERATOR({}.{})").format(
        compose.Identifier(schema), compose.SQL(cast(LiteralString, name))
    )


def _comparisons(connection: Connection, values: dict[str, object]) -> Iterator[Comparison]:
    for schema, name, parent, child, key, array, collation, indexable in connection.execute(
        sql.get("postgres/comparisons"), values
    ):
        yield Comparison(
            (schema, name),
            tuple(parent),
            tuple(child),
            tuple(key),
            tuple(array),
            tuple(collation) if collation else None,
            indexable,
        )


def _cast(value: compose.Composable, of_type: QualifiedName) -> compose.Composed:
    return compose.SQL("{}::{}").format(value, compose.Identifier(*of_type))
