"""What a contender did."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Removal:
    """So many rows removed. `seconds` and `wal` bytes: of the removing itself, where they are not all."""

    rows: int
    seconds: float | None = None
    wal: int | None = None
