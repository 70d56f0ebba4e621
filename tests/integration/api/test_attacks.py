"""Attacks at full size; meanwhile /health/live is answered within 100 ms."""

import gzip
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from api.audit.body import MOST_BYTES
from ops_pipeline.partitions.premake import premake_days
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.api.conftest import Headers
from tests.integration.api.process import Api
from tests.named import named

STORE = "/api/audit-logs"
FIND = "/api/admin/audit-logs"
LIMIT_MS = 100.0
SECONDS = 20.0
SENDERS = 4

MINIMAL = b'{"eventType":"a"}'
BODIES: dict[str, tuple[Callable[[], bytes], int]] = {
    "zeros": (lambda: b"[" + b"0," * 8_000_000 + b"0]", 413),
    "objects": (lambda: b"[" + b"{}," * 5_000_000 + b"{}]", 413),
    "lines": (lambda: b"1\n" * 8_000_000, 413),
    "100,000 rows": (lambda: b"[" + b",".join([MINIMAL] * 100_000) + b"]", 413),
    "10,000 zeros": (lambda: b"[" + b"0," * 9_999 + b"0]", 400),
    "10,000 long ones": (lambda: b"[" + b'{"eventType":"%b"},' % (b"a" * 1_600) * 9_999 + b"{}]", 400),
    "one item of two million values": (lambda: b"[[" + b"0," * 1_900_000 + b"0]]", 400),
    "no end": (lambda: b"[[" + b"[]" * 8_000_000, 400),
    "one event": (lambda: b'{"eventType":"a","details":{"a":[' + b"0," * 8_000_000 + b"0]}}", 400),
}


@pytest.fixture
def api(tmp_path: Path, url: str) -> Iterator[Api]:
    api = Api.start(tmp_path, url)
    yield api
    api.popen.kill()
    api.popen.wait()


@pytest.mark.prove
@pytest.mark.parametrize("name", BODIES)
def test_live_is_answered_while_bodies_of_bad_items_are_posted(api: Api, admin: Headers, name: str) -> None:
    make, status = BODIES[name]
    compressed = gzip.compress(make()[:MOST_BYTES], mtime=0)

    assert set(_attacked(api, lambda: _post(api, admin, compressed))) <= {status, 429}


@pytest.mark.prove
def test_live_is_answered_while_gzip_bodies_of_empty_members_are_posted(api: Api, admin: Headers) -> None:
    members = gzip.compress(b"", mtime=0) * (MOST_BYTES // 20)

    assert set(_attacked(api, lambda: _post(api, admin, members))) <= {400, 429}


@pytest.mark.prove
def test_live_is_answered_while_wrong_keys_are_tried(api: Api, connection: Connection) -> None:
    def ask() -> int:
        headers = {"Authorization": f"Bearer ops_{time.monotonic_ns()}"}
        return api.get(FIND, headers=headers).status_code

    answers = _attacked(api, ask)
    assert api.stop() == 0

    assert set(answers) == {401, 429}
    assert answers.count(401) <= 2 * 60 + SENDERS
    events = connection.execute(
        "SELECT details -> 'requests' FROM audit_logs WHERE action = 'key.refused'"
    ).fetchall()
    assert len(events) <= 2
    assert sum(count for (count,) in events) == len(answers)


@pytest.mark.prove
def test_reads_without_dates_hold_few_locks_whatever_is_asked(
    api: Api, key: Callable[..., Headers], connection: Connection
) -> None:
    today = datetime.now(UTC).date()
    premake_days(connection, named(connection, "public.audit_logs"), today - timedelta(days=91), today)
    callers = [key("admin") for _ in range(10)]
    asked = [
        f"{FIND}?action=nowhere", f"{FIND}?action=nowhere&offset=1", f"{FIND}?action=nowhere&count=exact",
        f"{FIND}/summary?bucket=1d&startDate=-91d", f"{FIND}/0191f6b2-4c1e-7c3a-9a57-2f6d1c0e5a11",
        f"{FIND}/export?action=nowhere",
    ]  # fmt: skip
    held: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            locks = "SELECT count(*) FROM pg_locks WHERE database = (SELECT oid FROM pg_database"
            held.append(scalar(connection, f"{locks} WHERE datname = current_database())"))

    def ask(number: int) -> int:
        return api.get(asked[number % len(asked)], headers=callers[number % len(callers)]).status_code

    watching = threading.Thread(target=watch)
    watching.start()
    with ThreadPoolExecutor(40) as pool:
        statuses = list(pool.map(ask, range(600)))
    done.set()
    watching.join()

    print(f"at most {max(held)} locks at a time, {len(held)} looks")  # noqa: T201 - for docs/proofs.md
    one_read = 93 * 11
    assert max(held) < (4 + 4) * one_read + 20 * 16 * 11
    assert set(statuses) <= {200, 404, 429, 503}
    assert "out of shared memory" not in api.log.read_text()


def _post(api: Api, key: Headers, compressed: bytes) -> int:
    headers = {**key, "Content-Encoding": "gzip"}
    return httpx.post(f"{api.address}{STORE}", content=compressed, headers=headers, timeout=60).status_code


def _attacked(api: Api, attack: Callable[[], int]) -> list[int]:
    """Attacks for a while from several threads, which must not delay probes; the statuses."""
    over = threading.Event()
    statuses: list[int] = []

    def again() -> None:
        while not over.is_set():
            statuses.append(attack())

    attacking = [threading.Thread(target=again) for _ in range(SENDERS)]
    for thread in attacking:
        thread.start()
    took = _live(api, SECONDS)
    over.set()
    for thread in attacking:
        thread.join()
    p99 = statistics.quantiles(took, n=100)[98]
    print(f"{len(statuses)} requests, {len(took)} probes, p99 {p99:.1f} ms, max {max(took):.1f}")  # noqa: T201 - ditto
    assert p99 < LIMIT_MS
    return statuses


def _live(api: Api, seconds: float) -> list[float]:
    took = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter()
        connection = HTTPConnection("127.0.0.1", int(api.address.rsplit(":", 1)[1]), timeout=30)
        connection.request("GET", "/health/live")
        assert connection.getresponse().status == 200
        connection.close()
        took.append((time.perf_counter() - began) * 1000)
        time.sleep(0.01)
    return took
