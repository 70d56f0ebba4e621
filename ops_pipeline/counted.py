"""Writes a number together with its noun, which is singular for one."""


def counted(number: int, one: str, many: str = "") -> str:
    """`1 row`, `1,234 rows`; `many` is the plural where it is not `one` with an s: `row is`, `rows are`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
