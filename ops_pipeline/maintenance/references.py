"""Foreign keys to the rows to be deleted: which rows they keep, what they cascade to, missing indexes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from psycopg import sql as compose

import sql
from ops_pipeline.finding import Finding
from ops_pipeline.holds import holds
from ops_pipeline.maintenance.plan import PlannedDeletion, is_migrated
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.equality import Equality
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.postgres.snapshot import once
from ops_pipeline.postgres.spelling import spelled

OnDelete = Literal["a", "r", "c", "n", "d"]
"""pg_constraint.confdeltype: no action, restrict, cascade, set null, set default."""

SMALL_CHILD_BYTES = 128 * 1024
"""A referring table up to this size needs no index. PostgreSQL reads it for every row that is deleted, which
takes a quarter of a millisecond; at 1 MiB it takes 4 ms, and a million rows would take an hour."""

EVERYTHING: compose.Composable = compose.SQL("true")


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`columns` of `child` refer to the columns `referred` of `parent`, which is a table or a partition.

    `cleared`: the columns that ON DELETE SET NULL or SET DEFAULT sets. `uncascaded`: its definition without
    ON DELETE CASCADE. `equalities`: how they are compared.
    """

    name: str
    child: Relation
    columns: tuple[str, ...]
    referred: tuple[str, ...]
    cleared: tuple[str, ...]
    on_delete: OnDelete
    indexed: bool
    parent: Relation
    uncascaded: str
    equalities: tuple[Equality, ...]


def missing_indexes(connection: Connection, relation: Relation) -> tuple[str, ...]:
    """The indexes without which each deleted row would read a whole table, and how to create them."""
    return tuple(map(str, unindexed(connection, relation)))


def unindexed(connection: Connection, relation: Relation) -> Iterator[Finding]:
    """The foreign keys without an index on the referring columns.

    PostgreSQL looks up the referring rows of every deleted row, whatever the key's ON DELETE action is.
    """
    for parent, key in _looked_up(connection, relation):
        if not key.indexed and catalog.size(connection, key.child) > SMALL_CHILD_BYTES:
            yield Finding(
                str(key.child),
                f"{key.child}.{', '.join(key.columns)} refers to {parent} ({key.name}) without an index, so "
                f"each deleted row would cost a scan of {key.child}. Create the index first",
                (f"{_create_index(connection, key)};",),
            )


def acting(connection: Connection, relation: Relation) -> tuple[ForeignKey, ...]:
    """The keys that delete or change rows when rows of the relation are deleted, at every level."""
    return tuple(key for _, key in _looked_up(connection, relation) if key.on_delete in "cnd")


def silent(connection: Connection, relation: Relation) -> Iterator[Finding]:
    """The foreign keys that are not enforced when rows of the relation, or of tables it cascades to, are
    deleted, because their triggers are disabled."""
    for parent in {parent.oid: parent for parent, _ in _looked_up(connection, relation)}.values():
        for key, *table, enable in connection.execute(
            sql.get("maintenance/silent_keys"), {"oid": parent.oid}
        ):
            yield Finding(
                str(Relation(*table)),
                f"the foreign key {key} is not enforced when rows of {Relation(*table)} are deleted, because "
                "its trigger is disabled: the delete would leave orphans. Enable the trigger",
                (enable,),
            )


def referring(connection: Connection, relation: Relation) -> tuple[Relation, ...]:
    """The tables that refer to the relation, or to tables that its deletes cascade to."""
    keys = _looked_up(connection, relation)
    return tuple({key.child.oid: key.child for _, key in keys}.values())


def unreferenced(
    connection: Connection, relation: Relation, before: Sequence[PlannedDeletion] = ()
) -> compose.Composable:
    """SQL that is true for the rows of the alias `target` that no reference keeps.

    A row is kept if a NO ACTION or RESTRICT key refers to it, because its batch would fail, or if deleting
    it would delete or change a row on hold. For a plan, rows that earlier policies delete (`before`) do not
    count. Never NULL. Call it in the deleting transaction, as for holds. Raises HoldUnclearError.
    """
    return _unreferenced(connection, relation, "target", (relation.oid,), before)


def keeping(connection: Connection, relation: Relation) -> set[Relation]:
    """The tables whose rows are deleted with the rows of the relation they refer to, or keep them; at every
    level of cascades."""
    return {key.child for _, key in _looked_up(connection, relation) if key.on_delete in "car"}


def waited_for(
    connection: Connection, relation: Relation, before: Sequence[PlannedDeletion]
) -> tuple[str, ...]:
    """The policies of `before` that delete rows which would otherwise keep rows of the relation."""
    keeping = {key.child for _, key in _looked_up(connection, relation) if key.on_delete in "ar"}
    return tuple(deletion.policy for deletion in before if deletion.table in keeping)


def _unreferenced(
    connection: Connection,
    relation: Relation,
    alias: str,
    path: tuple[int, ...],
    before: Sequence[PlannedDeletion],
) -> compose.Composable:
    child = f"referring_{len(path)}"
    keepers = [
        _exists(key, alias, child, keeps)
        for key in foreign_keys(connection, relation)
        if (keeps := _keeps(connection, key, child, path, before)) is not None
    ]
    if not keepers:
        return EVERYTHING
    return compose.SQL("NOT ({})").format(compose.SQL(" OR ").join(keepers))


def _keeps(
    connection: Connection,
    key: ForeignKey,
    child: str,
    path: tuple[int, ...],
    before: Sequence[PlannedDeletion],
) -> compose.Composable | None:
    """Which of the referring rows keep the row they refer to; None: none of them can."""
    if key.on_delete in "ar":
        left = [deletion.leaves(child) for deletion in before if deletion.table == key.child]
        return compose.SQL(" AND ").join(left) if left else EVERYTHING
    held = holds.active(connection, key.child) if is_migrated(connection) else ()
    free = [holds.exclusion(held, child)] if held else []
    if key.on_delete == "c" and key.child.oid not in path:
        below = _unreferenced(connection, key.child, child, (*path, key.child.oid), before)
        free += [below] if below is not EVERYTHING else []
    if not free:
        return None
    return compose.SQL("NOT ({})").format(compose.SQL(" AND ").join(free))


def _exists(key: ForeignKey, alias: str, child: str, keeps: compose.Composable) -> compose.Composable:
    matches = refers(key, child, alias)
    # A row that refers to itself does not keep itself.
    another = compose.SQL("({child}.tableoid, {child}.ctid) <> ({row}.tableoid, {row}.ctid)").format(
        child=compose.Identifier(child), row=compose.Identifier(alias)
    )
    return compose.SQL("EXISTS (SELECT FROM {} AS {} WHERE {})").format(
        key.child.identifier, compose.Identifier(child), compose.SQL(" AND ").join([matches, another, keeps])
    )


def refers(key: ForeignKey, child: str, parent: str) -> compose.Composed:
    """SQL that is true where the row of alias `child` refers by the key to the row of alias `parent`."""
    return compose.SQL(" AND ").join(
        equality.equal(
            equality.of_parent(compose.Identifier(parent, referred)),
            equality.of_child(compose.Identifier(child, column)),
        )
        for equality, column, referred in zip(key.equalities, key.columns, key.referred, strict=True)
    )


def _looked_up(connection: Connection, relation: Relation) -> Iterator[tuple[Relation, ForeignKey]]:
    """Every key that is looked up when a row is deleted, with the table it refers to, at every level."""
    seen, parents = {relation.oid}, [relation]
    while parents:
        parent = parents.pop(0)
        for key in foreign_keys(connection, parent):
            yield parent, key
            if key.on_delete == "c" and key.child.oid not in seen:
                seen.add(key.child.oid)
                parents.append(key.child)


def foreign_keys(connection: Connection, relation: Relation) -> list[ForeignKey]:
    """The foreign keys that refer to the table, to a table it is a partition of, or to a partition of it.

    Includes NOT VALID keys, which are enforced on deletes, but not NOT ENFORCED ones.
    """
    return once(connection, ("foreign keys", relation.oid), lambda: _foreign_keys(connection, relation))


def _foreign_keys(connection: Connection, relation: Relation) -> list[ForeignKey]:
    rows = connection.execute(sql.get("maintenance/foreign_keys"), {"oid": relation.oid})
    return [
        ForeignKey(
            name,
            Relation(*row[:3]),
            tuple(columns),
            tuple(referred),
            tuple(cleared),
            on_delete,
            indexed,
            parent=Relation(*row[3:6]),
            uncascaded=row[6],
            equalities=tuple(map(_equality, row[7])),
        )
        for name, columns, referred, cleared, on_delete, indexed, *row in rows
    ]


def _equality(names: Mapping[str, Sequence[str] | None]) -> Equality:
    return Equality(**{name: tuple(value) if value else None for name, value in names.items()})  # type: ignore[arg-type]  # schema and name each


def _create_index(connection: Connection, key: ForeignKey) -> str:
    # CREATE INDEX CONCURRENTLY does not work on a partitioned table.
    partitioned = scalar(connection, sql.get("postgres/is_partitioned"), {"oid": key.child.oid})
    statement = "CREATE INDEX ON {} ({})" if partitioned else "CREATE INDEX CONCURRENTLY ON {} ({})"
    columns = compose.SQL(", ").join(map(compose.Identifier, key.columns))
    return spelled(compose.SQL(statement).format(key.child.identifier, columns), connection)
