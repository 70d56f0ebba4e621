"""A table to archive, and a folder to archive it to."""

from pathlib import Path

import pytest

from ops_pipeline.postgres.connection import Connection

EVENTS = """
CREATE TABLE events (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz, what text, amount numeric
);
INSERT INTO events (at, what, amount)
SELECT '2026-03-01 00:00+00'::timestamptz + make_interval(mins => nth * 6), 'event ' || nth, nth / 7.0
FROM generate_series(0, 999) AS nth
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def events(connection: Connection) -> Connection:
    """A thousand events, 240 a day from 1 March 2026 on."""
    connection.execute(EVENTS)
    return connection
