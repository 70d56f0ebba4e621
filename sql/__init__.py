"""Every statement the system runs, as files: `get("maintenance/begin")` is the text of one."""

from functools import cache
from pathlib import Path
from typing import LiteralString

from sql.schema_names import configured, with_names

FOLDER = Path(__file__).parent


@cache
def get(name: str) -> LiteralString:
    """The text of `queries/<name>.sql`, with the schemas of `OPS_SCHEMA` and `OPS_AUDIT_LOG_SCHEMA`.

    The text is part of the program, never input, so it counts as a literal: psycopg's type stubs then
    refuse any other string, and no statement can be built by concatenation.

    Raises FileNotFoundError when there is no such statement.
    """
    return _read(FOLDER / "queries" / f"{name}.sql")


@cache
def demo(name: str) -> LiteralString:
    """The text of `demo/<name>.sql`, as `get` answers it."""
    return _read(FOLDER / "demo" / f"{name}.sql")


def migration(name: str) -> LiteralString:
    """The text of `migrations/<name>.sql`, as `get` answers it."""
    return _read(FOLDER / "migrations" / f"{name}.sql")


def _read(file: Path) -> LiteralString:
    return with_names(file.read_text(encoding="utf-8"), configured())
