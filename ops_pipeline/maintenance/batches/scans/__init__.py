"""A table looked at piece by piece: which rows of the next piece may go, and where the piece ends."""

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
    """The next piece of a table.

    `condition` is SQL over the alias `target` of `heap`, values written in: the rows of the piece that may
    go. `position` is where the piece ends. `examined`: about how many rows it holds, kept ones included.
    """

    heap: Relation
    condition: compose.Composable
    position: Position
    examined: int


class Scan(Protocol):
    """A way through a table. It only reads."""

    name: str
    sizes: Sizes

    def window(self, after: Position | None, until: Position | None, size: int) -> ScanRange | None:
        """The window of `size` that follows `after` (None: from the table's start) and ends at `until` at
        the latest; None when there is no more."""


def and_(*conditions: compose.Composable) -> compose.Composed:
    """All of the conditions."""
    return compose.SQL(" AND ").join([compose.SQL("({})").format(each) for each in conditions])


def target(column: str) -> compose.Identifier:
    """A column of the row that may go."""
    return compose.Identifier("target", column)


def listed(parts: Iterable[compose.Composable]) -> compose.Composed:
    """`a, b, c`."""
    return compose.SQL(", ").join(list(parts))
