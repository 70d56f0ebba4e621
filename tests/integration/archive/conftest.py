"""A table to archive, and a folder or a bucket to archive it to."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from ops_pipeline import cli
from ops_pipeline.postgres.connection import Connection
from tests.integration.archive.removal import remove

Opsctl = Callable[..., tuple[int, str, str]]
POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    vacuum: {tables: all}
"""
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
    """1,000 events, 240 a day from 1 March 2026 on."""
    connection.execute(EVENTS)
    return connection


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Host and port of a server with S3's protocol."""
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


@pytest.fixture
def opsctl(
    url: str,
    events: Connection,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Opsctl]:
    """Runs `opsctl archive` on five days of archived events: exit code, standard output and error."""
    remove(url, events, folder)
    (tmp_path / "policies.yaml").write_text(POLICIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    monkeypatch.setenv("OPS_ARCHIVE_URL", str(folder))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["opsctl", "archive", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
