"""A table scanned range by range: which rows of the next range may go, and where the range ends."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from psycopg import sql as compose

from ops_pipeline.postgres.relation import Relation
from ops_pipeline.throttle.batch_size import Sizes

Position = list[Any]
"""A place in a table, as JSON can hold it."""


@dataclass(frozen=True, slots=True)
class ScanRange:
    """The next rows of a table.

    `condition` is SQL over the alias `target` of `heap`, values written in: the rows of the range that may
    go. `position` is where the range ends. `examined`: about how many rows it holds, kept ones included.
    """

    heap: Relation
    condition: compose.Composable
    position: Position
    examined: int


class Scan(Protocol):
    """A way through a table. It only reads."""

    name: str
    sizes: Sizes

    def next_range(self, after: Position | None, until: Position | None, size: int) -> ScanRange | None:
        """The range of `size` that follows `after` (None: from the table's start) and ends at `until` at
        the latest; None when there is no more."""


def and_(*conditions: compose.Composable) -> compose.Composed:
    """All of the conditions."""
    return compose.SQL(" AND ").join([compose.SQL("({})").format(condition) for condition in conditions])


def or_(*conditions: compose.Composable) -> compose.Composed:
    """At least one of the conditions."""
    return compose.SQL(" OR ").join([compose.SQL("({})").format(condition) for condition in conditions])


def target(column: str) -> compose.Identifier:
    """A column of the row that may go."""
    return compose.Identifier("target", column)


def listed(parts: Iterable[compose.Composable]) -> compose.Composed:
    """`a, b, c`."""
    return compose.SQL(", ").join(list(parts))
