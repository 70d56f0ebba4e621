"""A storage that is slow, hangs or fails delays neither the database's other users nor the process."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from ops_pipeline.archive import write
from ops_pipeline.archive.archive import Archive
from ops_pipeline.maintenance import kinds
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings
from ops_pipeline.storage import location
from ops_pipeline.storage import s3 as s3_storage
from ops_pipeline.storage.storage import StorageError, StorageTooSlowError
from ops_pipeline.throttle import batch_size
from tests.integration.api.proxy import Proxy
from tests.integration.archive.bucket import Fault, failing_bucket
from tests.integration.archive.removal import remove

POLICY = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention: [{table: sessions, column: created_at, keep: 30 days, archive: true}]
"""
LIMIT_SECONDS = 1.0
PROMPTLY = 4.0
"""Additional time for a rollback and a busy machine."""


@pytest.fixture
def proxy(s3: str) -> Iterator[Proxy]:
    proxy = Proxy(int(s3.rpartition(":")[2]))
    yield proxy
    proxy.close()


@pytest.fixture
def one_day(application: Connection) -> Connection:
    """All expired rows are of one day, so that each batch is one file."""
    application.execute(
        "UPDATE sessions SET created_at = now() - interval '45 days' "
        "WHERE created_at < now() - interval '30 days'"
    )
    return application


@pytest.fixture
def settings(bucket_url: str, s3: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Archives to a bucket behind the proxy; a batch may take a second."""
    monkeypatch.setattr(batch_size, "LEAST_LIMIT_SECONDS", LIMIT_SECONDS)
    url = bucket_url.replace(s3, f"127.0.0.1:{proxy.port}")
    return Settings(archive_url=url, archive_batch_target_seconds=LIMIT_SECONDS / 5)


def _swallow_from_write(proxy: Proxy, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The storage hangs for that number of batches."""
    write, written = Archive.write, 0

    def hanging(self: Archive, *arguments: Any) -> Any:
        nonlocal written
        written += 1
        proxy.swallow() if written <= times else proxy.guard_passed()
        return write(self, *arguments)

    monkeypatch.setattr(Archive, "write", hanging)


def _longest_update(url: str, over: threading.Event) -> float:
    """Updates an expired row repeatedly, as an application would; returns the longest wait."""
    longest = 0.0
    with psycopg.connect(url, autocommit=True) as application:
        while not over.is_set():
            began = time.monotonic()
            application.execute(
                "UPDATE sessions SET note = 'seen' "
                "WHERE ctid = (SELECT min(ctid) FROM sessions WHERE created_at < now() - interval '30 days')"
            )
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.05)
    return longest


def test_a_hanging_bucket_locks_rows_for_no_longer_than_the_limit(
    url: str,
    one_day: Connection,
    read: Callable[..., Database],
    settings: Settings,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (policy,) = read(POLICY).policies
    _swallow_from_write(proxy, monkeypatch, times=100)
    over, waited = threading.Event(), [0.0]
    other = threading.Thread(target=lambda: waited.append(_longest_update(url, over)))
    other.start()

    try:
        with pytest.raises(StorageTooSlowError, match=r"within 1 s\. None of its rows .*3 batches"):
            kinds.carry_out(one_day, policy, settings=settings)
    finally:
        over.set()
        other.join()

    assert LIMIT_SECONDS / 2 < max(waited) < LIMIT_SECONDS + PROMPTLY
    assert scalar(one_day, "SELECT count(*) FROM sessions") == 6000
    assert scalar(one_day, "SELECT count(*) FROM ops.archives") == 0


def test_after_a_bucket_has_hung_batches_are_smaller(
    one_day: Connection,
    read: Callable[..., Database],
    settings: Settings,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (policy,) = read(POLICY).policies
    _swallow_from_write(proxy, monkeypatch, times=2)
    reported: list[str] = []

    result = kinds.carry_out(one_day, policy, settings=settings, report=reported.append)

    assert (result.removed, result.remaining) == (3000, 0)
    assert scalar(one_day, "SELECT sum(rows) FROM ops.archives") == 3000
    assert any("None of its rows was deleted" in line and "smaller batch" in line for line in reported)


def test_a_hanging_write_does_not_keep_the_process_from_ending() -> None:
    hanging = (
        "import time; from ops_pipeline.archive.workers import Workers; "
        "Workers(1, 'hanging').submit(lambda: time.sleep(600)); time.sleep(0.2)"
    )
    subprocess.run([sys.executable, "-c", hanging], check=True, timeout=10)


@pytest.mark.parametrize("fault", ["error", "reset"])
def test_a_bucket_that_fails_is_retried_until_the_limit(
    fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_storage, "PATIENCE_SECONDS", 2.0)
    with failing_bucket(fault, times=1000) as bucket:
        began = time.monotonic()
        with pytest.raises(StorageError, match=r"cannot write s3://bucket/x/file.*(500|reset by peer)"):
            location.storage(bucket.url).write("file", memoryview(b"content"))
        took = time.monotonic() - began

    assert 2.0 <= took < 2.0 + s3_storage.LONGEST_WAIT_SECONDS + PROMPTLY
    assert len(bucket.requests) > 2


@pytest.mark.parametrize("fault", ["error", "reset"])
def test_a_file_is_stored_when_the_bucket_fails_briefly(fault: Fault) -> None:
    with failing_bucket(fault, times=3) as bucket:
        location.storage(bucket.url).write("file", memoryview(b"content"))
    assert len(bucket.requests) == 4


def test_a_file_is_one_request_and_no_multipart_upload() -> None:
    with failing_bucket("error", times=0) as bucket:
        location.storage(bucket.url).write("file", memoryview(bytes(write.STORED_BYTES)))
    assert bucket.requests == ["PUT /bucket/x/file"]


def test_files_are_small_enough_for_one_request(url: str, connection: Connection, bucket_url: str) -> None:
    # Random data cannot be compressed: 24 MiB become three files instead of one.
    connection.execute(
        "CREATE TABLE events (id int, at timestamptz, what bytea); INSERT INTO events "
        "SELECT n, '2026-03-01', decode(string_agg(md5(n::text || m), ''), 'hex') "
        "FROM generate_series(1, 768) n, generate_series(1, 2048) m GROUP BY n"
    )

    parts = remove(url, connection, bucket_url)

    assert len(parts) >= 3
    assert max(part.bytes for part in parts) < 10 * 1024 * 1024
    assert scalar(connection, "SELECT count(*) FROM events") == 0
