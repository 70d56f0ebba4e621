"""The result of a contender."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Removal:
    """The number of removed rows. `seconds`, `wal` (bytes): of the removal itself, if that is only a part."""

    rows: int
    seconds: float | None = None
    wal: int | None = None
