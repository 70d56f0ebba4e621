"""Writes numbers, lists and durations for people: `1 row`, `a, b and 12 more`, `3 min 12 s`."""

from collections.abc import Sequence


def counted(number: int, one: str, many: str = "") -> str:
    """`1 row`, `1,234 rows`; `many` is the plural where it is not `one` with an s: `row is`, `rows are`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def listed(names: Sequence[object], most: int = 5) -> str:
    """`a, b, c`; of more than `most` names the first ones and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


def duration(seconds: float) -> str:
    """`12 s`, `3 min 12 s`, `4 h 30 min`, `2 d 5 h`: the two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
