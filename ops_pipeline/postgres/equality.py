"""How PostgreSQL compares a child's columns with those of its parent, whatever the search path is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg import sql as compose

import sql
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation

QualifiedName = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Equality:
    """How a child's column is compared with its parent's: as a foreign key between them has it.

    `operator` takes a value of `parent_type` and one of `child_type`; None: whatever the columns' types are.
    `collation`: where text is not compared by the default one.
    """

    operator: QualifiedName
    parent_type: QualifiedName | None
    child_type: QualifiedName | None
    collation: QualifiedName | None

    def equal(self, one: compose.Composable, other: compose.Composable) -> compose.Composed:
        """True where two values are equal, each as it is compared."""
        return compose.SQL("{} {} {}").format(one, self.sign, other)

    @property
    def sign(self) -> compose.Composed:
        """The operator. Those for other types of its family have the same name, and are chosen by them."""
        return operator_sign(*self.operator)

    def of_parent(self, column: compose.Composable) -> compose.Composable:
        """The parent's column as it is compared."""
        return _cast(column, self.parent_type)

    def of_child(self, column: compose.Composable) -> compose.Composable:
        """The child's column as it is compared."""
        return self._collated(_cast(column, self.child_type))

    def _collated(self, value: compose.Composable) -> compose.Composable:
        if self.collation is None:
            return value
        return compose.SQL("({} COLLATE {})").format(value, compose.Identifier(*self.collation))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEquality(Equality):
    """The same with keys that are kept meanwhile.

    `key_type` is that of the two types which holds the values of both, `key_array` an array of it, if there
    is one. `child_indexable`: an index on the child's column finds the rows that have a key.
    """

    key_type: QualifiedName
    key_array: QualifiedName | None
    child_indexable: bool

    def key_of_child(self, column: compose.Composable) -> compose.Composable:
        """The child's column as a key to be kept."""
        return self._collated(_cast(column, self.key_type))

    def keys(self, text: compose.Composable) -> compose.Composable:
        """An array of keys that was kept as text. Raises LookupError where there are no arrays of them."""
        if self.key_array is None:
            raise LookupError(f"there are no arrays of the type {'.'.join(self.key_type)}")
        return self._collated(_cast(text, self.key_array))


def key_equalities(
    connection: Connection,
    child: Relation,
    columns: Sequence[str],
    parent: Relation,
    parent_columns: Sequence[str],
) -> tuple[KeyEquality, ...]:
    """How each of the child's columns is compared with the parent's in its place.

    Raises LookupError where PostgreSQL has no operator for two of them, and would refuse a foreign key.
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
    """For each column of the table, by schema and name, the operator that = stands for.

    It is that of the type's default B-tree class; without one, as `=` of PostgreSQL's own has it, if at all.
    """
    rows = connection.execute(sql.get("postgres/equalities"), {"oid": table.oid})
    return {column: (schema, name) for column, schema, name in rows}


def operator_sign(schema: str, name: str) -> compose.Composed:
    """The operator of that schema and name."""
    # The catalog says the name, and PostgreSQL lets it have nothing but operator characters.
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
