"""The ways through a child table in search of orphans."""

from collections.abc import Sequence
from dataclasses import replace

from psycopg import sql as compose

import sql
from ops_pipeline.database import Connection, scalar
from ops_pipeline.maintenance import catalog
from ops_pipeline.maintenance.orphans.reference import Reference
from ops_pipeline.maintenance.windows import Position, Sizes, Walk, Window, both, doomed, listed
from ops_pipeline.maintenance.windows.blocks import BlockRanges


class ReferenceWindows:
    """Walks the children in the order of what they refer to, beside the parents in the order of their key.

    Both by index, and of a table that VACUUM has seen by nothing else: no row is read, nothing is hashed, and
    what a window costs depends on its own size alone. A position is the last reference, each part as text.
    """

    name = "reference windows"
    sizes = Sizes(first=10_000, least=1_000, most=5_000_000)  # rows

    def __init__(self, connection: Connection, reference: Reference) -> None:
        self._connection = connection
        self._reference = reference
        order = reference.child_index or reference.columns
        parents = dict(zip(reference.columns, reference.parent_columns, strict=True))
        self._key = [doomed(each) for each in order]
        self._parent_key = [compose.Identifier("parent", parents[each]) for each in order]

    def window(self, after: Position | None, until: Position | None, size: int) -> Window | None:
        """The next `size` references, and all further ones that are like the last of them."""
        condition = both(
            self._reference.refers, _within(self._key, after, None), _within(self._key, None, until)
        )
        statement = compose.SQL(sql.get("orphans/window_end")).format(
            texts=listed(compose.SQL("{}::text").format(part) for part in self._key),
            table=self._reference.child.identifier,
            condition=condition,
            key=listed(self._key),
            descending=listed(compose.SQL("{} DESC").format(part) for part in self._key),
        )
        last = scalar(self._connection, statement, {"size": size})
        if last is None:
            return None
        missing = self._reference.missing(_within(self._parent_key, after, last))
        return Window(
            self._reference.child,
            both(self._reference.refers, _within(self._key, after, last), missing),
            last,
            size,
        )


def _within(
    key: Sequence[compose.Identifier], after: Position | None, last: Position | None
) -> compose.Composable:
    """The key is beyond `after` and not beyond `last`."""
    parts: list[compose.Composable] = [compose.SQL("true")]
    for position, operator in ((after, compose.SQL(">")), (last, compose.SQL("<="))):
        if position is not None:
            values = listed(compose.Literal(part) for part in position)
            parts.append(compose.SQL("({}) {} ({})").format(listed(key), operator, values))
    return both(*parts)


class OrphansByBlocks(BlockRanges):
    """Walks the child's blocks, each once. A position tells as well where its window began."""

    name = "block ranges"

    def __init__(self, connection: Connection, reference: Reference) -> None:
        super().__init__(
            catalog.heaps(connection, reference.child, reference.columns[0]),
            both(reference.refers, reference.missing()),
            rows=catalog.live_tuples(connection, reference.child),
        )

    def _range(self, heap: catalog.Heap, first: int, end: int) -> Window:
        window = super()._range(heap, first, end)
        return replace(window, position=[*window.position, first])


def best(connection: Connection, reference: Reference) -> tuple[Walk, str]:
    """The way for that reference, and why."""
    if reference.child_index is None:
        return OrphansByBlocks(
            connection, reference
        ), f"no index of {reference.child} leads with the reference"
    if not reference.one_order:
        return OrphansByBlocks(
            connection, reference
        ), "the reference and what it refers to are sorted differently"
    return ReferenceWindows(connection, reference), "both indexes are read side by side"


class MissingParents:
    """Walks the listed missing parents; a window is the children of some of them, found by index.

    A position is [the last row of ops.missing_parents]. `which` parents, over the alias `missing`; `goes`:
    which of their children, over the alias `doomed`.
    """

    name = "missing parents"
    sizes = Sizes(first=4_000, least=100, most=200_000)  # children

    def __init__(
        self,
        connection: Connection,
        reference: Reference,
        which: compose.Composable,
        goes: compose.Composable,
    ) -> None:
        self._connection = connection
        self._reference = reference
        self._which = which
        self._goes = goes

    def window(self, after: Position | None, until: Position | None, size: int) -> Window | None:
        """The children, about `size`, of the next missing parents."""
        first, end = (after or [0])[0], (until or [2**62])[0]
        values = {"policy": self._reference.policy, "after": first, "until": end, "size": size}
        statement = compose.SQL(sql.get("orphans/next_missing")).format(listed=self._which)
        last = scalar(self._connection, statement, values)
        if last is None:
            return None
        these = compose.SQL("missing.id > {} AND missing.id <= {}").format(
            compose.Literal(first), compose.Literal(last)
        )
        still = both(these, self._which, self._reference.key_missing)
        condition = both(self._reference.refers_to(still), self._goes)
        return Window(self._reference.child, condition, [last], examined=0)


class MissingParentsByBlocks(BlockRanges):
    """Walks the child's blocks for children of the listed parents: with no index, or where they are many."""

    name = "missing parents by blocks"

    def __init__(
        self,
        connection: Connection,
        reference: Reference,
        which: compose.Composable,
        goes: compose.Composable,
    ) -> None:
        super().__init__(catalog.heaps(connection, reference.child, reference.columns[0]), goes, rows=0)
        self._reference = reference
        self._which = which

    def _range(self, heap: catalog.Heap, first: int, end: int) -> Window:
        window = super()._range(heap, first, end)
        here = compose.SQL(
            "missing.heap IS NULL OR (missing.heap = {heap} AND missing.first_block < {end}"
            " AND missing.end_block > {first})"
        ).format(
            heap=compose.Literal(heap.relation.oid), first=compose.Literal(first), end=compose.Literal(end)
        )
        # IS TRUE keeps PostgreSQL from making a join of it: it expects ten keys in each row of missing
        # parents, and would compare every row of the window with every key instead of hashing them.
        children = compose.SQL("({}) IS TRUE").format(self._reference.refers_to(both(here, self._which)))
        return replace(window, condition=both(window.condition, children))


class NullReferences(BlockRanges):
    """Walks the child's blocks for rows that refer to nobody."""

    name = "NULL references"

    def __init__(self, connection: Connection, reference: Reference, goes: compose.Composable) -> None:
        heaps = catalog.heaps(connection, reference.child, reference.columns[0])
        super().__init__(heaps, both(reference.refers_to_nobody, goes), rows=0)
