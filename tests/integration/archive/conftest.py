"""A table to archive, and a folder or a bucket to archive it to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

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


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A server that speaks S3's protocol: host and port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def bucket_url(s3: str, request: pytest.FixtureRequest) -> str:
    """A bucket's URL, with a prefix in it."""
    name = f"b{abs(hash(request.node.name)) % 10**9}"
    client = fs.S3FileSystem(
        access_key="me", secret_key="secret", endpoint_override=s3, scheme="http", allow_bucket_creation=True,
        region="us-east-1",
    )  # fmt: skip
    client.create_dir(name)
    return f"s3://me:secret@{name}/kept/here?endpoint_override={s3}&scheme=http&region=us-east-1"
