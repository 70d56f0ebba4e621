"""Writes numbers and lists for people: `1 row`, `1,234 rows`, `a, b and 12 more`."""

from collections.abc import Sequence


def counted(number: int, one: str, many: str = "") -> str:
    """`1 row`, `1,234 rows`; `many` is the plural where it is not `one` with an s: `row is`, `rows are`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def listed(names: Sequence[object], most: int = 5) -> str:
    """`a, b, c`; of more than `most` names the first ones and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
