"""Real CloudTrail events, posted twice by several clients, are stored once and answer as the files do."""

import gzip
import json
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
from ops_pipeline import keys
from ops_pipeline.audit import cloudtrail as reader
from ops_pipeline.database import Connection
from ops_pipeline.settings import Settings

Record = dict[str, Any]
Client = TestClient[ASGIApp]
DENIED = {"AccessDenied", "Client.UnauthorizedOperation"}


@pytest.fixture(scope="module")
def records(cloudtrail: Path) -> list[Record]:
    """What the files say, read by nothing of ours; a record that was delivered twice is there once."""
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
    return {
        "Authorization": f"Bearer {keys.create(connection, 'cloudtrail', ['audit:write', 'audit:read']).key}"
    }


@pytest.fixture
def asked(client: Client, headers: dict[str, str], cloudtrail: Path) -> Callable[..., list[Record]]:
    """Posts every delivery twice, from several clients at once, and then answers questions."""
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
    return sorted(event["id"] for event in events)


def test_a_dozen_questions_are_answered_as_the_files_answer_them(
    asked: Callable[..., list[Record]], records: list[Record], connection: Connection
) -> None:
    def those(condition: Callable[[Record], Any]) -> list[str]:
        return sorted(record["eventID"] for record in records if condition(record))

    def same(answer: list[Record], condition: Callable[[Record], Any]) -> None:
        expected = those(condition)
        assert expected, "the question is about nothing in these files"
        assert ids(answer) == expected

    stored = connection.execute("SELECT id::text FROM audit_logs WHERE event_type LIKE 'aws.%' ORDER BY 1")
    assert [each for (each,) in stored] == those(bool)

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

    aws = {"eventType": f"aws.{service.removesuffix('.amazonaws.com')}"}
    same(asked(actor=who), by)
    same(asked(actor=who, status="failure"), lambda record: by(record) and failed(record))
    same(asked(q=f"errorCode:{code}"), lambda record: record.get("errorCode") == code)
    same(
        asked(q=f"errorCode:{code}", actor=who), lambda record: record.get("errorCode") == code and by(record)
    )
    same(asked(ip=address), lambda record: record["sourceIPAddress"] == address)
    same(
        asked(ip=address, q=f"errorCode:{code}"),
        lambda record: record["sourceIPAddress"] == address and record.get("errorCode") == code,
    )
    same(asked(**period), within)
    same(asked(**period, status="failure"), lambda record: within(record) and failed(record))
    same(
        asked(**period, q=f"errorCode:{code}", ip=address),
        lambda record: (
            within(record) and record.get("errorCode") == code and record["sourceIPAddress"] == address
        ),
    )
    same(asked(**aws), lambda record: record["eventSource"] == service)
    same(
        asked(**aws, action=call),
        lambda record: (record["eventSource"], record["eventName"]) == (service, call),
    )
    same(asked(action=call, status="failure"), lambda record: record["eventName"] == call and failed(record))

    # Who was denied what, from which address, in which minute: the whole table of it at once.
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
