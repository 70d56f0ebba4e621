"""Every statement the system runs, as files: `get("maintenance/begin")` is the text of one."""

from functools import cache
from pathlib import Path
from typing import LiteralString

FOLDER = Path(__file__).parent


@cache
def get(name: str) -> LiteralString:
    """The text of `queries/<name>.sql`.

    The text is part of the program, never input, so it counts as a literal: psycopg's type stubs then
    refuse any other string, and no statement can be built by concatenation.

    Raises FileNotFoundError when there is no such statement.
    """
    return (FOLDER / "queries" / f"{name}.sql").read_text(encoding="utf-8")


@cache
def demo(name: str) -> LiteralString:
    """The text of `demo/<name>.sql`, as `get` answers it."""
    return (FOLDER / "demo" / f"{name}.sql").read_text(encoding="utf-8")
