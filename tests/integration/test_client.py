"""The client loses no event and stores none twice, whether the API or the application is killed."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops_pipeline.access import keys
from ops_pipeline.audit.client import AuditClient
from ops_pipeline.audit.event import AuditEvent, EventError
from ops_pipeline.audit.spool import Spool, SpoolFullError, SpoolInUseError
from ops_pipeline.postgres.connection import Connection, scalar
from tests.api_process import free_port, serving
from tests.eventually import eventually

APPLICATION = """
import sys
from pathlib import Path
from ops_pipeline.audit.client import AuditClient
from ops_pipeline.audit.event import AuditEvent

client = AuditClient(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
for number in range(10**9):
    print(client.log(AuditEvent(event_type="told", details={"number": number})), flush=True)
"""
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def key(connection: Connection) -> str:
    made = keys.create(connection, "application", ["audit:write"]).key
    connection.execute("DELETE FROM audit_logs")
    return made


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def stored(connection: Connection) -> list[str]:
    return [
        str(each)
        for (each,) in connection.execute(
            "SELECT id FROM audit_logs WHERE event_type <> 'audit_access'"
        ).fetchall()
    ]


def events(number: int) -> Iterator[AuditEvent]:
    return (AuditEvent(event_type="told", details={"number": each}) for each in range(number))


def test_events_logged_while_the_api_restarts_are_stored_once_each(
    url: str, connection: Connection, key: str, port: int, spool: Path, tmp_path: Path
) -> None:
    logged: list[str] = []
    with AuditClient(f"http://127.0.0.1:{port}", key, spool) as client:
        logged += [str(client.log(each)) for each in events(700)]  # the API does not listen yet
        with serving(url, tmp_path, port) as api:
            logging = threading.Thread(
                target=lambda: logged.extend([str(client.log(each)) for each in events(2000)])
            )
            logging.start()
            eventually(lambda: scalar(connection, "SELECT count(*) FROM audit_logs"))
            api.kill()
            logging.join()
        with serving(url, tmp_path, port):
            assert client.flush(60)

    assert sorted(stored(connection)) == sorted(logged)
    assert Spool(spool, 0).empty()


def test_events_of_a_killed_application_are_sent_by_the_next(
    url: str, connection: Connection, key: str, port: int, spool: Path, tmp_path: Path
) -> None:
    address = f"http://127.0.0.1:{port}"
    with serving(url, tmp_path, port):
        application = subprocess.Popen(
            [sys.executable, "-c", APPLICATION, address, key, str(spool)], stdout=subprocess.PIPE, text=True
        )
        assert application.stdout is not None
        said = ""
        while scalar(connection, "SELECT count(*) FROM audit_logs") == 0:
            said += application.stdout.readline()
        application.kill()
        said += application.communicate()[0]
        with AuditClient(address, key, spool) as client:
            assert client.flush(60)

    found = stored(connection)
    taken = [line.strip() for line in said.splitlines(keepends=True) if line.endswith("\n")]
    assert set(taken) <= set(found)
    assert len(found) == len(set(found))
    assert not (spool / "rejected.ndjson").exists()
    assert scalar(connection, "SELECT max((details->>'number')::int) + 1 = count(*) FROM audit_logs")


def test_events_that_the_api_refuses_are_set_aside_and_the_others_are_stored(
    url: str, connection: Connection, key: str, port: int, spool: Path, tmp_path: Path
) -> None:
    huge = AuditEvent(event_type="huge", details={"text": "x" * 5000})
    with (
        serving(url, tmp_path, port, OPS_AUDIT_DETAILS_MAX_BYTES="1000"),
        AuditClient(f"http://127.0.0.1:{port}", key, spool) as client,
    ):
        good = [str(client.log(each)) for each in events(3)]
        refused = str(client.log(huge))
        good += [str(client.log(each)) for each in events(3)]
        assert client.flush(60)
        also_refused = str(client.log(huge))
        assert client.flush(60)

    assert sorted(stored(connection)) == sorted(good)
    kept = [json.loads(line) for line in (spool / "rejected.ndjson").read_text().splitlines()]
    assert [each["event"]["id"] for each in kept] == [refused, also_refused]
    assert all("details" in str(each["reason"]) for each in kept)


def test_a_key_that_does_not_work_loses_nothing(
    url: str, connection: Connection, key: str, port: int, spool: Path, tmp_path: Path
) -> None:
    with serving(url, tmp_path, port):
        with AuditClient(f"http://127.0.0.1:{port}", "ops_wrong", spool) as client:
            logged = [str(client.log(each)) for each in events(3)]
            assert client.close(timeout=1) is False
        for each in threading.enumerate():
            if each.name == "audit client":
                each.join()
        with AuditClient(f"http://127.0.0.1:{port}", key, spool) as client:
            assert client.flush(60)

    assert sorted(stored(connection)) == sorted(logged)


def test_a_full_spool_is_reported_and_its_events_are_kept(spool: Path) -> None:
    client = AuditClient(NOWHERE, "ops_x", spool, spool_bytes=10_000)
    logged: list[str] = []
    with pytest.raises(SpoolFullError, match="of 10,000 bytes"):
        logged.extend(str(client.log(each)) for each in events(1000))

    assert client.close(timeout=0) is False
    waiting = Spool(spool, 0).oldest()
    assert waiting is not None
    assert [json.loads(line)["id"] for line in waiting.lines] == logged
    assert (spool / "spool.sqlite3").stat().st_mode & 0o077 == 0


def test_an_event_that_cannot_be_stored_is_refused_at_once(spool: Path) -> None:
    client = AuditClient(NOWHERE, "ops_x", spool)
    with pytest.raises(EventError, match="eventType"):
        client.log(AuditEvent(event_type="x" * 51))
    assert client.close(timeout=0) is True


def test_a_spool_belongs_to_one_client_at_a_time(spool: Path) -> None:
    first = AuditClient(NOWHERE, "ops_x", spool)
    with pytest.raises(SpoolInUseError, match="another process"):
        AuditClient(NOWHERE, "ops_x", spool)
    first.close(timeout=0)

    AuditClient(NOWHERE, "ops_x", spool).close(timeout=0)
