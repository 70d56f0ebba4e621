"""A table looked at piece by piece: which rows of the next piece may go, and where the piece ends."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from psycopg import sql as compose

from ops_pipeline.maintenance.catalog import Relation

Position = list[Any]
"""A place in a table, as JSON can hold it."""


@dataclass(frozen=True, slots=True)
class Window:
    """The next piece of a table.

    `condition` is SQL over the alias `doomed` of `heap`, values written in: the rows of the piece that may
    go. `position` is where the piece ends. `examined`: about how many rows it holds, kept ones included.
    """

    heap: Relation
    condition: compose.Composable
    position: Position
    examined: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a window may be, in the unit of its walk."""

    first: int
    least: int
    most: int


class Walk(Protocol):
    """A way through a table. It only reads."""

    name: str
    sizes: Sizes

    def window(self, after: Position | None, until: Position | None, size: int) -> Window | None:
        """The window of `size` that follows `after` (None: from the table's start) and ends at `until` at
        the latest; None when there is no more."""


def both(*conditions: compose.Composable) -> compose.Composed:
    """All of the conditions."""
    return compose.SQL(" AND ").join([compose.SQL("({})").format(each) for each in conditions])


def doomed(column: str) -> compose.Identifier:
    """A column of the row that may go."""
    return compose.Identifier("doomed", column)


def listed(parts: Iterable[compose.Composable]) -> compose.Composed:
    """`a, b, c`."""
    return compose.SQL(", ").join(list(parts))
