"""A time limit holds for its part of a transaction alone."""

import psycopg
import pytest

from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.time_limit import time_limit

SLEEP = "SELECT pg_sleep(0.2)"


def test_a_slow_statement_is_canceled_and_the_part_rolled_back(connection: Connection) -> None:
    def slowly() -> None:
        with time_limit(connection, 0.01):
            connection.execute("CREATE TABLE inside ()")
            connection.execute(SLEEP)

    with connection.transaction():
        connection.execute("CREATE TABLE outside ()")
        with pytest.raises(psycopg.errors.QueryCanceled):
            slowly()

    assert scalar(connection, "SELECT to_regclass('outside') IS NOT NULL AND to_regclass('inside') IS NULL")


@pytest.mark.parametrize("seconds", [0, 0.01, 0.1])
def test_the_statements_after_it_have_the_former_limit(connection: Connection, seconds: float) -> None:
    connection.execute("SET statement_timeout = '7s'")

    with connection.transaction():
        with time_limit(connection, seconds):
            pass
        assert scalar(connection, "SHOW statement_timeout") == "7s"
        connection.execute(SLEEP)

    assert scalar(connection, "SHOW statement_timeout") == "7s"
