"""The reference from a child table to its parent, with the SQL conditions that find orphans."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql as compose

import sql
from ops_pipeline.holds import holds
from ops_pipeline.maintenance import references
from ops_pipeline.maintenance.batches.scans import and_, listed, target
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.equality import KeyEquality, key_equalities
from ops_pipeline.postgres.relation import Relation, find_relation


@dataclass(frozen=True, slots=True)
class Reference:
    """The columns of a child that refer to a parent, and the parent's columns, in the same order.

    `child_index`, `parent_index`: those columns in the order of an index that begins with them and can be
    used for the comparison; None without one. `equalities`: how each column is compared with the parent's.
    The properties are SQL; "the row" is a row of the child with the alias `target`.
    """

    policy: str
    child: Relation
    columns: tuple[str, ...]
    child_index: tuple[str, ...] | None
    parent: Relation
    parent_columns: tuple[str, ...]
    parent_index: tuple[str, ...] | None
    equalities: tuple[KeyEquality, ...]
    null_is_orphan: bool

    @property
    def child_indexable(self) -> bool:
        """Whether an index on the child's columns could find the children of a key."""
        return _indexable(self.equalities)

    @property
    def refers_to_itself(self) -> bool:
        """Whether the table is its own parent, so that deleting orphans makes orphans."""
        return self.child.oid == self.parent.oid

    @property
    def refers(self) -> compose.Composed:
        """The row (alias `target`) refers to a parent."""
        return and_(*(compose.SQL("{} IS NOT NULL").format(column) for column in self.of_row))

    @property
    def refers_to_nothing(self) -> compose.Composed:
        """One of its columns is NULL, so it refers to no row."""
        return compose.SQL("NOT ({})").format(self.refers)

    @property
    def key_missing(self) -> compose.Composed:
        """No parent has the listed key, for `refers_to`: evaluated once for all children of a key."""
        return self._without_parent(self.keys_over("key"))

    @property
    def missing(self) -> compose.Composed:
        """No parent has the key that the row refers to."""
        return self._without_parent(self.compared)

    @property
    def orphaned(self) -> compose.Composed:
        """The row is an orphan now."""
        return self._or_nothing(and_(self.refers, self.missing))

    def child_of(self, parents: Relation, condition: compose.Composable) -> compose.Composed:
        """The row refers to one of the parents that meet the condition, which is over the alias `target`."""
        return compose.SQL(
            "{refers} AND EXISTS (SELECT FROM (SELECT {keys} FROM {parents} AS target WHERE {condition})"
            " AS parent ({names}) WHERE {same_key})"
        ).format(
            refers=self.refers,
            keys=listed(self.of_parent("target")),
            parents=parents.identifier,
            condition=condition,
            names=listed(self.keys),
            same_key=self.refers_to_row(self.keys_over("parent")),
        )

    @property
    def unmarked(self) -> compose.Composed:
        """The row is an orphan, and no run has marked it yet and no trigger has recorded its key."""
        known = self.refers_to(compose.SQL("missing.keys IS NOT NULL"))
        return self._or_nothing(and_(self.refers, self.missing, compose.SQL("NOT {}").format(known)))

    def refers_to(self, which: compose.Composable) -> compose.Composed:
        """The row refers to one of the missing parents listed; `which` is over the alias `missing`."""
        # PostgreSQL hashes the listed keys for the first form only, which takes one operator for all columns.
        signs = {equality.operator: equality.sign for equality in self.equalities}
        form = "refers_to" if len(signs) == 1 else "refers_to_each"
        return compose.SQL(sql.get(f"maintenance/orphans/{form}")).format(
            reference=listed(self.compared),
            operator=next(iter(signs.values())),
            same_key=self.same_key,
            keys=listed(self.keys),
            arrays=self.unnested,
            policy=compose.Literal(self.policy),
            listed=which,
        )

    @property
    def of_row(self) -> list[compose.Identifier]:
        """The columns of the row that refer."""
        return [target(column) for column in self.columns]

    @property
    def compared(self) -> list[compose.Composable]:
        """The same columns, in the form in which they are compared."""
        return [
            equality.of_child(column) for equality, column in zip(self.equalities, self.of_row, strict=True)
        ]

    @property
    def key_of_row(self) -> list[compose.Composable]:
        """The same columns, in the form in which they are listed."""
        return [
            equality.key_of_child(column)
            for equality, column in zip(self.equalities, self.of_row, strict=True)
        ]

    @property
    def keys(self) -> list[compose.Identifier]:
        """Names for the columns of a key: key1, key2, …"""
        return [compose.Identifier(f"key{number}") for number, _ in enumerate(self.columns, 1)]

    @property
    def keys_of_row(self) -> compose.Composed:
        """The row's own key under those names."""
        return listed(
            compose.SQL("{} AS {}").format(column, key)
            for column, key in zip(self.key_of_row, self.keys, strict=True)
        )

    @property
    def same_key(self) -> compose.Composed:
        """The row refers to the key of those names."""
        return self._equal(self.compared, self.keys_over("key"))

    @property
    def gathered(self) -> compose.Composed:
        """Many keys as `ops.missing_parents` stores them: for each column, an array as text."""
        return listed(compose.SQL("array_agg({})::text").format(key) for key in self.keys)

    @property
    def gathered_once(self) -> compose.Composed:
        """As `gathered`, each key once; a composite key once for each row that has it."""
        if len(self.keys) > 1:
            return self.gathered
        return compose.SQL("array_agg(DISTINCT {})::text").format(self.keys[0])

    @property
    def unnested(self) -> compose.Composed:
        """The stored arrays, for `unnest`."""
        return listed(
            equality.keys(compose.SQL("missing.keys[{}]").format(compose.Literal(place)))
            for place, equality in enumerate(self.equalities, 1)
        )

    def keys_over(self, alias: str) -> list[compose.Composed]:
        """The columns of a key, qualified with that alias."""
        return [compose.SQL("{}.{}").format(compose.Identifier(alias), key) for key in self.keys]

    def of_parent(self, alias: str) -> list[compose.Composable]:
        """The parent's columns, qualified with that alias, in the form in which they are compared."""
        return [
            equality.of_parent(compose.Identifier(alias, column))
            for equality, column in zip(self.equalities, self.parent_columns, strict=True)
        ]

    def refers_to_row(self, of_parent: Sequence[compose.Composable]) -> compose.Composed:
        """The row refers to the parent with those columns."""
        return self._equal(of_parent, self.compared)

    def _without_parent(self, key: Sequence[compose.Composable]) -> compose.Composed:
        return compose.SQL(sql.get("maintenance/orphans/missing")).format(
            parent=self.parent.identifier, same_key=self._equal(self.of_parent("parent"), key)
        )

    def _equal(
        self, ones: Sequence[compose.Composable], others: Sequence[compose.Composable]
    ) -> compose.Composed:
        pairs = zip(self.equalities, ones, others, strict=True)
        return and_(*(equality.equal(one, other) for equality, one, other in pairs))

    def _or_nothing(self, without_parent: compose.Composed) -> compose.Composed:
        if not self.null_is_orphan:
            return without_parent
        return compose.SQL("({}) OR ({})").format(self.refers_to_nothing, without_parent)


def find_reference(connection: Connection, policy: Orphans) -> Reference:
    """The policy's reference, from the catalog.

    Raises LookupError when a table does not exist, or columns cannot be compared.
    """
    child = find_relation(connection, policy.table)
    parent = find_relation(connection, policy.parent)
    compared = key_equalities(connection, child, policy.columns, parent, policy.parent_columns)
    return Reference(
        policy.name,
        child,
        policy.columns,
        catalog.index_on(connection, child, policy.columns) if _indexable(compared) else None,
        parent,
        policy.parent_columns,
        catalog.index_on(connection, parent, policy.parent_columns),
        compared,
        policy.null_is_orphan,
    )


def check_holds(connection: Connection, reference: Reference) -> None:
    """Raises HoldUnclearError when a hold on the child or parent was made for another table or column.

    If the parent was replaced by another table, every child would look orphaned, also children of rows on
    hold.
    """
    holds.active(connection, reference.parent)
    holds.active(connection, reference.child)
    references.unreferenced(connection, reference.child)


def count_children(connection: Connection, reference: Reference, condition: compose.Composable) -> int:
    """How many children meet the condition, which is over the alias `target`."""
    statement = compose.SQL(sql.get("maintenance/orphans/rows")).format(
        child=reference.child.identifier, condition=condition
    )
    return int(scalar(connection, statement))


def _indexable(compared: Sequence[KeyEquality]) -> bool:
    return all(equality.child_indexable for equality in compared)
