"""A time limit for the statements of a part of a transaction."""

from collections.abc import Iterator
from contextlib import contextmanager

import sql
from ops_pipeline.postgres.connection import Connection, scalar

SHORTEST_MILLISECONDS = 1
"""PostgreSQL's statement_timeout 0 is none at all."""


@contextmanager
def time_limit(connection: Connection, seconds: float) -> Iterator[None]:
    """A transaction, or a savepoint of the one that is open, whose statements may each take that long.

    Afterwards the former limit holds again: releasing a savepoint keeps the settings that were made in it.
    Raises QueryCanceled when a statement takes longer; then the part is rolled back.
    """
    with connection.transaction():
        former = scalar(connection, sql.get("postgres/statement_timeout"))
        limit = max(SHORTEST_MILLISECONDS, round(seconds * 1000))
        connection.execute(sql.get("postgres/limit"), {"limit": f"{limit}ms"})
        yield
        connection.execute(sql.get("postgres/limit"), {"limit": former})
