"""Real CloudTrail events, posted twice by several clients, are stored once and found as in the files."""

import gzip
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from litestar.testing import TestClient
from litestar.types import ASGIApp

from api.app import create_app, observed
from ops_pipeline.access import keys
from ops_pipeline.audit.importers import cloudtrail as reader
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.settings import Settings

Record = dict[str, Any]
Client = TestClient[ASGIApp]
DENIED = {"AccessDenied", "Client.UnauthorizedOperation"}


@pytest.fixture(scope="module")
def records(cloudtrail: Path) -> list[Record]:
    """The records of the files, read without our code; a record that was delivered twice is there once."""
    files = [json.loads(gzip.decompress(file.read_bytes())) for file in sorted(cloudtrail.rglob("*.json.gz"))]
    found = {record["eventID"]: record for file in files for record in file["Records"]}
    assert len(found) > 1000
    return list(found.values())


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with TestClient(observed(create_app(Settings(database_url=url)))) as made:
        yield made


@pytest.fixture
def headers(connection: Connection) -> dict[str, str]:
    scopes = ["audit:write", "audit:import", "audit:read"]
    return {"Authorization": f"Bearer {keys.create(connection, 'cloudtrail', scopes).key}"}


@pytest.fixture
def asked(client: Client, headers: dict[str, str], cloudtrail: Path) -> Callable[..., list[Record]]:
    """Posts every delivery twice, from several clients at once; then the API can be queried."""
    deliveries = [
        b"\n".join(msgspec.json.encode(reader.event(record)) for record in json.loads(text)["Records"])
        for text in (gzip.decompress(file.read_bytes()) for file in sorted(cloudtrail.rglob("*.json.gz")))
    ]

    def post(body: bytes) -> None:
        sent = {"Content-Encoding": "gzip", "Content-Type": "application/x-ndjson"}
        answer = client.post("/api/audit-logs", content=gzip.compress(body), headers={**headers, **sent})
        assert answer.status_code == 201, answer.text
        assert answer.json()["success"], answer.text

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(post, [*deliveries, *deliveries[::-1]]))

    def ask(**filters: str) -> list[Record]:
        found: list[Record] = []
        following: str | None = f"/api/admin/audit-logs?{urlencode({'limit': 1000, **filters})}"
        while following is not None:
            answer = client.get(following, headers=headers)
            assert answer.status_code == 200, answer.text
            found += answer.json()["data"]
            following = answer.json()["next"]
        return found

    return ask


def ids(events: list[Record]) -> list[str]:
    return sorted(event["details"]["eventID"] for event in events)


@pytest.fixture(scope="module")
def by_jq(cloudtrail: Path) -> Callable[[str], list[str]] | None:
    """The records that match according to jq; None on a machine without it."""
    jq = shutil.which("jq")
    if jq is None:
        return None
    text = b"\n".join(gzip.decompress(file.read_bytes()) for file in sorted(cloudtrail.rglob("*.json.gz")))

    def ask(condition: str) -> list[str]:
        command = [jq, "--raw-output", f".Records[] | select({condition}) | .eventID"]
        return sorted(
            set(subprocess.run(command, input=text, capture_output=True, check=True).stdout.decode().split())
        )

    return ask


def test_a_dozen_queries_return_what_the_files_contain(
    asked: Callable[..., list[Record]],
    records: list[Record],
    by_jq: Callable[[str], list[str]] | None,
    connection: Connection,
) -> None:
    def those(*conditions: Callable[[Record], bool]) -> list[str]:
        return sorted(record["eventID"] for record in records if all(each(record) for each in conditions))

    stored = connection.execute("SELECT details->>'eventID' FROM audit_logs WHERE event_type LIKE 'aws.%'")
    assert sorted(each for (each,) in stored) == those()

    denied = [record for record in records if record.get("errorCode") in DENIED]
    who = Counter(str(record["userIdentity"].get("arn")) for record in denied).most_common(1)[0][0]
    address = Counter(record["sourceIPAddress"] for record in denied).most_common(1)[0][0]
    minute = Counter(record["eventTime"][:16] for record in denied).most_common(1)[0][0]
    period = {"startDate": f"{minute}:00Z", "endDate": f"{minute}:59Z"}
    code = Counter(record["errorCode"] for record in denied).most_common(1)[0][0]
    service = Counter(record["eventSource"] for record in denied).most_common(1)[0][0]
    call = Counter(record["eventName"] for record in denied).most_common(1)[0][0]

    def by(record: Record) -> bool:
        return bool(record["userIdentity"].get("arn") == who)

    def failed(record: Record) -> bool:
        return bool(record.get("errorCode"))

    def within(record: Record) -> bool:
        return bool(record["eventTime"].startswith(minute))

    def refused(record: Record) -> bool:
        return bool(record.get("errorCode") == code)

    def there(record: Record) -> bool:
        return bool(record["sourceIPAddress"] == address)

    def of(record: Record) -> bool:
        return bool(record["eventSource"] == service)

    def called(record: Record) -> bool:
        return bool(record["eventName"] == call)

    jq_by, jq_refused = f".userIdentity.arn == {json.dumps(who)}", f".errorCode == {json.dumps(code)}"
    jq_there, jq_within = f".sourceIPAddress == {json.dumps(address)}", f'.eventTime | startswith("{minute}")'
    jq_of, jq_called = f".eventSource == {json.dumps(service)}", f".eventName == {json.dumps(call)}"
    jq_failed = ".errorCode"
    aws = {"eventType": f"aws.{service.removesuffix('.amazonaws.com')}"}
    q = {"q": f"errorCode:{code}"}
    for filters, conditions, jq in (
        ({"actor": who}, [by], [jq_by]),
        ({"actor": who, "status": "failure"}, [by, failed], [jq_by, jq_failed]),
        (q, [refused], [jq_refused]),
        ({**q, "actor": who}, [refused, by], [jq_refused, jq_by]),
        ({"ip": address}, [there], [jq_there]),
        ({**q, "ip": address}, [refused, there], [jq_refused, jq_there]),
        (period, [within], [jq_within]),
        ({**period, "status": "failure"}, [within, failed], [jq_within, jq_failed]),
        ({**period, **q, "ip": address}, [within, refused, there], [jq_within, jq_refused, jq_there]),
        (aws, [of], [jq_of]),
        ({**aws, "action": call}, [of, called], [jq_of, jq_called]),
        ({"action": call, "status": "failure"}, [called, failed], [jq_called, jq_failed]),
    ):
        expected = those(*conditions)
        assert expected, "the question is about nothing in these files"
        assert ids(asked(**filters)) == expected, filters
        assert by_jq is None or by_jq(" and ".join(f"({each})" for each in jq)) == expected, jq

    # Who was denied what, from which address, in which minute, as one table.
    answer = [event for each in DENIED for event in asked(q=f"errorCode:{each}")]
    assert Counter(
        (event["created_by"], event["action"], event["ip_address"], event["created_at"][:16])
        for event in answer
    ) == Counter(
        (
            record["userIdentity"]["arn"],
            record["eventName"],
            record["sourceIPAddress"],
            record["eventTime"][:16],
        )
        for record in denied
    )
