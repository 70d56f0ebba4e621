"""Scans: the order in which a table is worked through, range by range."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from psycopg import sql as compose

from ops_pipeline.postgres.relation import Relation
from ops_pipeline.throttle.batch_size import Sizes

Position = list[Any]
"""A position in a table, as a JSON array."""


@dataclass(frozen=True, slots=True)
class ScanRange:
    """The next rows of a table.

    `condition` is SQL over the alias `target` of `heap`, with its values inserted: the deletable rows of the
    range. `position` is where the range ends. `scanned`: about how many rows it contains, kept ones
    included.
    """

    heap: Relation
    condition: compose.Composable
    position: Position
    scanned: int


class Scan(Protocol):
    """An order in which a table is scanned. It only reads."""

    name: str
    sizes: Sizes

    def next_range(self, after: Position | None, until: Position | None, size: int) -> ScanRange | None:
        """The range of `size` that follows `after` (None: from the table's start) and ends at `until` at
        the latest; None at the end of the scan."""


def and_(*conditions: compose.Composable) -> compose.Composed:
    """All of the conditions."""
    return compose.SQL(" AND ").join([compose.SQL("({})").format(condition) for condition in conditions])


def or_(*conditions: compose.Composable) -> compose.Composed:
    """At least one of the conditions."""
    return compose.SQL(" OR ").join([compose.SQL("({})").format(condition) for condition in conditions])


def target(column: str) -> compose.Identifier:
    """A column of the alias `target`."""
    return compose.Identifier("target", column)


def listed(parts: Iterable[compose.Composable]) -> compose.Composed:
    """`a, b, c`."""
    return compose.SQL(", ").join(list(parts))
