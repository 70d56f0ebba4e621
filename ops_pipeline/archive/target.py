"""The table that archived rows are restored into: checks its columns, or creates it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.archive import columns
from ops_pipeline.archive.columns import ArchivedColumn
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import Relation, TableName, find_relation
from ops_pipeline.postgres.spelling import spelled

UNTOUCHED = "Nothing was restored. To restore the rows unchanged into a new table: --into NEW_TABLE"


class RestoreRefusedError(Exception):
    """The rows cannot be restored as requested; nothing was restored, and the message says what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """A table that exists."""

    relation: Relation
    columns: tuple[ArchivedColumn, ...]

    def taken(self, archived: Sequence[ArchivedColumn]) -> tuple[ArchivedColumn, ...]:
        """The archived columns that are inserted: all that are not generated columns of the table.

        Raises RestoreRefusedError for a column that no longer exists or has another type now. A column that
        was added since gets its default.
        """
        now = {column.name: column for column in self.columns}
        gone = [column.name for column in archived if column.name not in now]
        if gone:
            raise RestoreRefusedError(
                f"{self.relation} no longer has the column {_listed(gone)} of the archived rows. {UNTOUCHED}"
            )
        changed = [
            f"{column.name} was {column.type} and is {now[column.name].type}"
            for column in archived
            if now[column.name].type != column.type
        ]
        if changed:
            raise RestoreRefusedError(f"{self.relation} has changed: {'; '.join(changed)}. {UNTOUCHED}")
        return tuple(column for column in archived if not now[column.name].generated)


def target(connection: Connection, table: str) -> Target | None:
    """The table of that name; None when it does not exist. Raises RestoreRefusedError for an invalid name."""
    try:
        relation = find_relation(connection, TableName.parse(table))
    except ValueError as error:
        raise RestoreRefusedError(f"{error}. {UNTOUCHED}") from error
    except LookupError:
        return None
    return Target(relation, columns.columns_of(connection, relation.oid))


def create(connection: Connection, table: str, schemas: Sequence[Sequence[ArchivedColumn]]) -> Target:
    """Creates a table with every column of the archived rows, without defaults and constraints.

    Raises RestoreRefusedError where the archived rows have one column with two types.
    """
    wanted: dict[str, ArchivedColumn] = {}
    for column in [archived_column for schema in schemas for archived_column in schema]:
        before = wanted.setdefault(column.name, column)
        if before.type != column.type:
            raise RestoreRefusedError(
                f"{column.name} was {before.type} in some of these rows and {column.type} in others, so they "
                "cannot be in one table. Nothing was restored; restore the days before and after the change "
                "separately"
            )
    fields = [
        compose.SQL("{} {}").format(compose.Identifier(column.name), compose.SQL(column.type))
        for column in wanted.values()
    ]
    connection.execute(
        compose.SQL("CREATE TABLE {} ({})").format(
            TableName.parse(table).identifier, compose.SQL(", ").join(fields)
        )
    )
    made = target(connection, table)
    if made is None:
        raise RestoreRefusedError(
            f"{table} was created but cannot be found; check that its schema is in the search_path"
        )
    return made


def check_types(connection: Connection, archived: Iterable[ArchivedColumn]) -> None:
    """Raises RestoreRefusedError for a column whose type does not exist in this database. The type's name was
    read from a table and becomes part of SQL statements."""
    for type_name, column in {column.type: column for column in archived}.items():
        try:
            known = scalar(connection, sql.get("archive/is_type"), {"text": type_name})
        except (psycopg.errors.SyntaxError, psycopg.errors.InvalidParameterValue):
            known = False
        if not known:
            raise RestoreRefusedError(
                f"{column.name} was of type {type_name}, which does not exist in this database. Nothing was "
                "restored; create the type first"
            )


def present_user(connection: Connection) -> str:
    """The connection's current user, quoted for a GRANT."""
    return written(str(scalar(connection, "SELECT current_user")))


def written(*names: str) -> str:
    """The name, optionally schema-qualified, as a statement needs it."""
    return spelled(compose.Identifier(*names), None)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
