"""Applies ON DELETE SET NULL and SET DEFAULT to restored rows whose parent was deleted meanwhile."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from psycopg import sql as compose

import sql
from ops_pipeline.archive.columns import ArchivedColumn, out_of_range_field
from ops_pipeline.archive.staging import STAGED, Staged
from ops_pipeline.archive.target import UNTOUCHED, RestoreRefusedError, Target, present_user, written
from ops_pipeline.counted import counted
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import Relation

OnDelete = Literal["SET NULL", "SET DEFAULT"]
SETTING: dict[str, OnDelete] = {"n": "SET NULL", "d": "SET DEFAULT"}
"""The values of pg_constraint.confdeltype that change a row and do not delete it."""


@dataclass(frozen=True, slots=True)
class MissingParents:
    """How many `rows` refer by the foreign key `key` to deleted rows of `parent`, and were restored with the
    values of its ON DELETE action in `columns`."""

    key: str
    columns: tuple[str, ...]
    parent: str
    on_delete: OnDelete
    rows: int


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key of the table that rows are restored into. Operators are pairs of schema and name, with
    the parent's column on their left. `readable`: all rows of the parent are visible."""

    name: str
    on_delete: OnDelete | None
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]
    operators: tuple[tuple[str, str], ...]
    sets: tuple[str, ...]
    sets_required: bool
    parent: Relation
    readable: bool

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.columns)})"


def foreign_keys(connection: Connection, table: Relation) -> list[ForeignKey]:
    """The foreign keys of the table that PostgreSQL enforces."""
    rows = connection.execute(sql.get("archive/foreign_keys"), {"oid": table.oid}).fetchall()
    return [
        ForeignKey(
            name,
            SETTING.get(on_delete),
            tuple(columns),
            tuple(referenced),
            tuple(zip(schemas, names, strict=True)),
            tuple(sets),
            required,
            Relation(*parent),
            readable,
        )
        for name, on_delete, columns, referenced, schemas, names, sets, required, *parent, readable in rows
    ]


def apply(connection: Connection, staged: Sequence[Staged], target: Target) -> tuple[MissingParents, ...]:
    """Applies ON DELETE SET NULL and SET DEFAULT to staged rows whose parent no longer exists.

    In the caller's transaction. Raises RestoreRefusedError naming each other key with missing parents, and
    the number of rows. A key whose parent cannot be read is left to PostgreSQL, which rejects the first such
    row.
    """
    keys = [key for key in foreign_keys(connection, target.relation) if key.readable]
    applied = []
    for key in keys:
        if key.on_delete is None or (key.on_delete == "SET NULL" and key.sets_required):
            continue
        rows = sum(
            connection.execute(setting).rowcount for setting in _settings(connection, key, staged, target)
        )
        if rows:
            applied.append(MissingParents(key.name, key.sets, str(key.parent), key.on_delete, rows))
    problems = []
    for key in keys:
        rows = sum(int(scalar(connection, count)) for count in _counts(key, staged, target))
        if rows:
            referring = counted(rows, "row refers", "rows refer")
            problems.append(f"{referring} by {key} to rows of {key.parent} that no longer exist")
    if problems:
        raise RestoreRefusedError(
            f"These rows cannot be restored into {target.relation}: {'; '.join(problems)}. {UNTOUCHED}"
        )
    return tuple(applied)


def unreadable(connection: Connection, table: Relation, key: str | None) -> str:
    """The GRANT that lets a restore apply that key, where this user cannot read its parent; else ""."""
    for foreign_key in foreign_keys(connection, table):
        if foreign_key.name == key and foreign_key.on_delete is not None and not foreign_key.readable:
            parent, user = (
                written(foreign_key.parent.schema, foreign_key.parent.name),
                present_user(connection),
            )
            return (
                f"; to have its ON DELETE {foreign_key.on_delete} applied, for which {user} must be able to "
                f"read {parent}: GRANT SELECT ON {parent} TO {user};"
            )
    return ""


def _settings(
    connection: Connection, key: ForeignKey, staged: Sequence[Staged], target: Target
) -> Iterator[compose.Composed]:
    defaults: dict[str, str] = {}
    if key.on_delete == "SET DEFAULT":
        defaults = dict(
            connection.execute(sql.get("archive/defaults"), {"oid": target.relation.oid}).fetchall()
        )
    for one_schema, without_parent in _without_parent(key, staged, target):
        set_columns = [column for column in one_schema.columns if column.name in key.sets]
        yield compose.SQL(sql.get("archive/set_references")).format(
            staging=one_schema.identifier,
            columns=compose.SQL(", ").join(_assignments(one_schema, set_columns, defaults)),
            without_parent=without_parent,
        )


def _assignments(
    staged: Staged, columns: Sequence[ArchivedColumn], defaults: dict[str, str]
) -> Iterator[compose.Composed]:
    for column in columns:
        # Expression and types are texts from the catalog.
        value = compose.SQL("({})::{}{}").format(
            compose.SQL(defaults.get(column.name, "NULL")),
            compose.SQL(column.type),
            compose.SQL("::oid" if column.travels == "oid" else ""),
        )
        yield compose.SQL("{} = {}::{}").format(
            compose.Identifier(column.field), value, compose.SQL(STAGED[column.travels])
        )
    if temporal := [column.field for column in columns if column.temporal]:
        beyond = compose.Identifier(out_of_range_field(staged.columns) or "")
        yield compose.SQL("{} = ({}::jsonb - {}::text[])::text").format(
            beyond, beyond, compose.Literal(temporal)
        )


def _counts(key: ForeignKey, staged: Sequence[Staged], target: Target) -> Iterator[compose.Composed]:
    for one_schema, without_parent in _without_parent(key, staged, target):
        yield compose.SQL(sql.get("archive/count_without_parent")).format(
            staging=one_schema.identifier, without_parent=without_parent
        )


def _without_parent(
    key: ForeignKey, staged: Sequence[Staged], target: Target
) -> Iterator[tuple[Staged, compose.Composed]]:
    """The condition for rows whose parent does not exist, for staged rows that have the key's columns."""
    parents = _parents(key, staged, target)
    for one_schema in staged:
        by_name = {column.name: column for column in target.taken(one_schema.columns)}
        if not by_name.keys() >= set(key.columns):
            continue
        values = [one_schema.value(by_name[name]) for name in key.columns]
        same_key = [
            compose.SQL("{} OPERATOR({}.{}) {}").format(
                compose.Identifier("parent", parent), compose.Identifier(schema), compose.SQL(operator), value
            )
            for parent, (schema, operator), value in zip(
                key.parent_columns, key.operators, values, strict=True
            )
        ]
        yield (
            one_schema,
            compose.SQL(sql.get("archive/without_parent")).format(
                refers=compose.SQL(" AND ").join(
                    compose.SQL("{} IS NOT NULL").format(value) for value in values
                ),
                parents=parents,
                same_key=compose.SQL(" AND ").join(same_key),
            ),
        )


def _parents(key: ForeignKey, staged: Sequence[Staged], target: Target) -> compose.Composable:
    """The existing parents, as an item of FROM; where a table refers to itself, including restored rows."""
    if key.parent.oid != target.relation.oid:
        return key.parent.identifier
    listed = compose.SQL(", ").join(map(compose.Identifier, key.parent_columns))
    present = [compose.SQL("SELECT {} FROM {}").format(listed, key.parent.identifier)]
    for one_schema in staged:
        by_name = {column.name: column for column in one_schema.columns}
        if by_name.keys() >= set(key.parent_columns):
            values = [one_schema.value(by_name[name]) for name in key.parent_columns]
            present.append(
                compose.SQL("SELECT {} FROM {} AS staged").format(
                    compose.SQL(", ").join(values), one_schema.identifier
                )
            )
    return compose.SQL("({})").format(compose.SQL(" UNION ALL ").join(present))
