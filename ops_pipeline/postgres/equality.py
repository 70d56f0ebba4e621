"""Finds the operators with which PostgreSQL compares key columns, independent of the search path."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg import sql as compose

import sql
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation

QualifiedName = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Equality:
    """How a child's column is compared with its parent's, as in a foreign key between them.

    `operator` compares a value of `parent_type` with one of `child_type`; None: the columns' own types.
    `collation`: the collation of the comparison, if it is not the default one.
    """

    operator: QualifiedName
    parent_type: QualifiedName | None
    child_type: QualifiedName | None
    collation: QualifiedName | None

    def equal(self, one: compose.Composable, other: compose.Composable) -> compose.Composed:
        """The SQL that is true when two values are equal, each cast for the comparison."""
        return compose.SQL("{} {} {}").format(one, self.sign, other)

    @property
    def sign(self) -> compose.Composed:
        """The operator. Its family's operators for other types have the same name; PostgreSQL chooses by
        type."""
        return operator_sign(*self.operator)

    def of_parent(self, column: compose.Composable) -> compose.Composable:
        """The parent's column, cast for the comparison."""
        return _cast(column, self.parent_type)

    def of_child(self, column: compose.Composable) -> compose.Composable:
        """The child's column, cast for the comparison."""
        return self._collated(_cast(column, self.child_type))

    def _collated(self, value: compose.Composable) -> compose.Composable:
        if self.collation is None:
            return value
        return compose.SQL("({} COLLATE {})").format(value, compose.Identifier(*self.collation))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEquality(Equality):
    """An equality whose keys are stored between two statements.

    `key_type` is the one of the two types that can hold the values of both, `key_array` its array type, if it
    has one. `child_indexable`: whether an index on the child's column can find the rows with a key.
    """

    key_type: QualifiedName
    key_array: QualifiedName | None
    child_indexable: bool

    def key_of_child(self, column: compose.Composable) -> compose.Composable:
        """The child's column as a key to be stored."""
        return self._collated(_cast(column, self.key_type))

    def keys(self, text: compose.Composable) -> compose.Composable:
        """An array of keys that was stored as text. Raises LookupError when the type has no array type."""
        if self.key_array is None:
            raise LookupError(f"type {'.'.join(self.key_type)} has no array type")
        return self._collated(_cast(text, self.key_array))


def key_equalities(
    connection: Connection,
    child: Relation,
    columns: Sequence[str],
    parent: Relation,
    parent_columns: Sequence[str],
) -> tuple[KeyEquality, ...]:
    """How each of the child's columns is compared with the corresponding column of the parent.

    Raises LookupError when PostgreSQL has no operator for two of them, and would refuse a foreign key.
    """
    values = {
        "child": child.oid,
        "columns": list(columns),
        "parent": parent.oid,
        "parent_columns": list(parent_columns),
    }
    found = tuple(_key_equalities(connection, values))
    if len(found) < len(columns):
        raise LookupError(
            f"{', '.join(columns)} of {child} cannot be compared with {', '.join(parent_columns)} of "
            f"{parent}, because PostgreSQL has no operator for their types and would refuse a foreign key "
            "between them; give them one type"
        )
    return found


def equalities(connection: Connection, table: Relation) -> dict[str, QualifiedName]:
    """For each column of the table, the schema and name of its equality operator.

    It is that of the type's default B-tree operator class; without one, `=` of pg_catalog, if it exists.
    """
    rows = connection.execute(sql.get("postgres/equalities"), {"oid": table.oid})
    return {column: (schema, name) for column, schema, name in rows}


def operator_sign(schema: str, name: str) -> compose.Composed:
    """The operator of that schema and name."""
    # The name comes from the catalog, and only has operator characters.
    return compose.SQL("OPERATOR({}.{})").format(compose.Identifier(schema), compose.SQL(name))


def _key_equalities(connection: Connection, values: dict[str, object]) -> Iterator[KeyEquality]:
    for schema, name, parent, child, key, array, collation, indexable in connection.execute(
        sql.get("postgres/key_equalities"), values
    ):
        yield KeyEquality(
            operator=(schema, name),
            parent_type=tuple(parent),
            child_type=tuple(child),
            collation=tuple(collation) if collation else None,
            key_type=tuple(key),
            key_array=tuple(array) if array else None,
            child_indexable=indexable,
        )


def _cast(value: compose.Composable, of_type: QualifiedName | None) -> compose.Composable:
    return value if of_type is None else compose.SQL("{}::{}").format(value, compose.Identifier(*of_type))
