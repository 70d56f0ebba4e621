"""Real CloudTrail deliveries become audit events, each once and without secrets."""

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ops_pipeline.audit.importers.cloudtrail import (
    ImportReport,
)
from ops_pipeline.postgres.connection import Connection
from tests.integration.cloudtrail_records import count, run

EVENTS = 2_900
PLACEHOLDER = "IQoJb3JpZ2lu"
"""The prefix of every session token in the real files, and of nothing else."""


@pytest.fixture
def imported(connection: Connection, cloudtrail: Path) -> Connection:
    run(connection, cloudtrail)
    return connection


def test_every_real_event_is_stored_once(connection: Connection, cloudtrail: Path) -> None:
    assert run(connection, cloudtrail) == ImportReport(EVENTS, EVENTS, 0, 0, ())
    assert run(connection, cloudtrail) == ImportReport(EVENTS, 0, EVENTS, 0, ())
    assert count(connection) == EVENTS


def test_events_are_stored_as_they_were_recorded(imported: Connection, cloudtrail: Path) -> None:
    real = [
        record
        for file in cloudtrail.iterdir()
        for record in json.loads(gzip.decompress(file.read_bytes()))["Records"]
    ]
    stored = {
        event[0]: event[1:]
        for event in imported.execute(
            "SELECT details->>'eventID', event_type, action, status, created_at, host(ip_address), details "
            "FROM audit_logs"
        )
    }

    for each in real:
        event_type, action, status, created_at, address, details = stored[each["eventID"]]
        assert f"{event_type.removeprefix('aws.')}.amazonaws.com" == each["eventSource"]
        assert action == each["eventName"]
        assert status == ("failure" if "errorCode" in each else "success")
        assert created_at == datetime.fromisoformat(each["eventTime"])
        assert address == (
            None if each["sourceIPAddress"][-1] not in "0123456789" else each["sourceIPAddress"]
        )
        assert details.keys() == each.keys()
        assert without_secrets(details) == without_secrets(each)


def without_secrets(value: Any) -> Any:
    match value:
        case dict():
            return {name: without_secrets(held) for name, held in value.items()}
        case list():
            return [without_secrets(each) for each in value]
        case str() if value.startswith((PLACEHOLDER, "HIDDEN_DUE", "[redacted]")):
            return "secret"
        case _:
            return value


def test_no_session_token_is_anywhere_in_the_table(imported: Connection, cloudtrail: Path) -> None:
    raw = b"".join(gzip.decompress(file.read_bytes()) for file in cloudtrail.iterdir())

    assert raw.count(PLACEHOLDER.encode()) == 36
    assert (
        count(imported, f"audit_logs::text LIKE '%{PLACEHOLDER}%' OR audit_logs::text LIKE '%XXXXXXXX%'") == 0
    )
    assert count(imported, "details @@ '$.**.sessionToken == \"[redacted]\"'") == 36
    assert count(imported, "details @? '$.**.accessKeyId'") > 2_000


def test_events_without_an_identitys_type_are_stored(imported: Connection) -> None:
    no_type = "NOT details->'userIdentity' ? 'type'"

    assert count(imported, no_type) == 42
    assert count(imported, f"{no_type} AND created_by LIKE '%.amazonaws.com'") == 42


def test_a_source_that_is_a_host_name_is_kept_in_details(imported: Connection) -> None:
    assert count(imported, "details->>'sourceIPAddress' = 'AWS Internal' AND ip_address IS NULL") == 170
    assert count(imported, "details->>'sourceIPAddress' LIKE '%.amazonaws.com' AND ip_address IS NULL") == 183
    assert count(imported, "ip_address IS NOT NULL") == EVENTS - 353
