"""A table partitioned by day, with and without a DEFAULT partition."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from ops_pipeline.partitions.premake import premake_days
from ops_pipeline.postgres import locks
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation
from tests.named import named

DAYS = """
CREATE TABLE "Day's rows" (
  id bigint GENERATED ALWAYS AS IDENTITY,
  created_at timestamptz NOT NULL,
  note text,
  doubled bigint GENERATED ALWAYS AS (2 * 21) STORED,
  PRIMARY KEY (created_at, id)
) PARTITION BY RANGE (created_at)
"""
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(locks, "TRIES", 3)


@pytest.fixture
def days(connection: Connection) -> Callable[..., Relation]:
    """Makes the table with three days of ten rows each from FIRST on."""

    def make(*, default: bool = True, days: int = 3, rows: int = 10) -> Relation:
        connection.execute(DAYS)
        relation = named(connection, "Day's rows")
        if default:
            connection.execute("""CREATE TABLE elsewhere PARTITION OF "Day's rows" DEFAULT""")
        premake_days(connection, relation, FIRST.date(), (FIRST + timedelta(days=days - 1)).date())
        connection.execute(
            """INSERT INTO "Day's rows" (created_at, note)
               SELECT %s + make_interval(days => day, secs => row), 'row'
               FROM generate_series(0, %s) AS day, generate_series(1, %s) AS row""",
            [FIRST, days - 1, rows],
        )
        return relation

    return make
