"""An id belongs to one event: another event with it is refused, and a retry is not."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4, uuid5

import pytest
from litestar.testing import TestClient
from litestar.types import ASGIApp

from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.audit.importers.cloudtrail import NAMESPACE, ImportReport
from ops_pipeline.audit.store import AuditStore, ConflictError, Stored
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.cloudtrail_records import record, run

Client = TestClient[ASGIApp]
Headers = dict[str, str]
STORE, FIND = "/api/audit-logs", "/api/admin/audit-logs"
COUNT = "SELECT count(*) FROM audit_logs WHERE event_type <> 'audit_access'"
NOW = datetime.now(UTC).replace(microsecond=0)
FIRST = {"eventType": "a", "action": "open", "details": {"n": 1}, "createdAt": NOW.isoformat()}

OTHERS: list[dict[str, Any]] = [
    {"createdAt": (NOW - timedelta(seconds=1)).isoformat()},
    {"createdAt": (NOW - timedelta(days=20)).isoformat()},
    {"eventType": "b"},
    {"action": None},
    {"details": {"n": 2}},
    {"details": None},
    {"userId": str(uuid4())},
    {"createdBy": "mallory"},
    {"ipAddress": "192.0.2.1"},
    {"status": "failure"},
    {"durationMs": 1},
    {"resourceType": "file"},
    {"resourceId": str(uuid4())},
]


@pytest.mark.parametrize("other", OTHERS, ids=range(len(OTHERS)))
def test_the_same_id_with_other_content_is_a_conflict(
    client: Client, admin: Headers, connection: Connection, other: dict[str, Any]
) -> None:
    first = {**FIRST, "id": str(uuid4())}
    changed = {**first, **other}
    assert client.post(STORE, json=first, headers=admin).status_code == 201

    alone = client.post(STORE, json=changed, headers=admin)
    batch = client.post(STORE, json=[changed, {"eventType": "c"}, first], headers=admin)
    whole = client.post(STORE, json=[changed, changed], headers=admin)

    assert (alone.status_code, alone.json()["type"]) == (409, "/problems/conflict"), alone.text
    assert alone.json()["errors"][0]["field"] == "id"
    assert (batch.status_code, batch.json()["success"]) == (201, False)
    assert [result.get("error", {}).get("field") for result in batch.json()["results"]] == ["id", None, None]
    assert whole.status_code == 409
    assert scalar(connection, COUNT) == 2
    (kept,) = client.get(f"{FIND}/{first['id']}", headers=admin).json()["data"]
    assert (kept["event_type"], kept["action"], kept["details"]) == ("a", "open", {"n": 1})


@pytest.mark.parametrize("time", [{}, {"createdAt": NOW.isoformat()}], ids=["without a time", "with a time"])
def test_the_same_event_again_is_no_conflict(
    client: Client, admin: Headers, connection: Connection, time: dict[str, Any]
) -> None:
    event = {"eventType": "a", "id": str(uuid4()), "userId": str(uuid4()), "details": {"x": 1.10}, **time}
    spaced = json.dumps(event, indent=1)

    sent = [json.dumps(event), spaced, json.dumps(event), json.dumps([event, event])]
    answers = [client.post(STORE, content=body, headers=admin).status_code for body in sent]

    assert answers == [201] * 4
    assert scalar(connection, COUNT) == 1


def test_two_events_of_a_batch_with_one_id_are_a_conflict(
    client: Client, admin: Headers, connection: Connection
) -> None:
    event_id = str(uuid4())
    batch = [{**FIRST, "id": event_id, "durationMs": number} for number in (1, 1, 2)]

    results = client.post(STORE, json=batch, headers=admin).json()["results"]

    assert ["error" in result for result in results] == [False, False, True]
    assert scalar(connection, "SELECT duration_ms FROM audit_logs WHERE id = %s", [event_id]) == 1


def test_of_posts_at_the_same_time_one_wins_and_the_others_are_told(
    client: Client, admin: Headers, connection: Connection
) -> None:
    event_id = str(uuid4())

    def post(number: int) -> int:
        own_time = {"createdAt": (NOW - timedelta(seconds=number)).isoformat()} if number % 2 else {}
        event = {"eventType": f"type {number}", "id": event_id, **own_time}
        return client.post(STORE, json=event, headers=admin).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(16)))

    assert sorted(answers) == [201] + [409] * 15
    assert scalar(connection, COUNT) == 1


def test_after_a_day_an_id_is_only_unique_with_its_time_and_all_its_events_are_returned(
    client: Client, admin: Headers, connection: Connection
) -> None:
    event = {**FIRST, "id": str(uuid4())}
    client.post(STORE, json=event, headers=admin)
    aged = "UPDATE ops.audit_receipts SET received_at = received_at - interval '%s hours'"
    later = {**event, "createdAt": (NOW + timedelta(seconds=1)).isoformat(), "action": "close"}

    connection.execute(aged.replace("%s", "23"))
    assert client.post(STORE, json=later, headers=admin).status_code == 409
    connection.execute(aged.replace("%s", "2"))
    assert client.post(STORE, json=later, headers=admin).status_code == 201
    assert client.post(STORE, json=event, headers=admin).status_code == 201, "a late retry of the first"
    assert client.post(STORE, json={**event, "action": "x"}, headers=admin).status_code == 409

    found = client.get(f"{FIND}/{event['id']}", headers=admin).json()
    assert (found["count"], [each["action"] for each in found["data"]]) == (2, ["close", "open"])


def test_receipts_of_events_with_a_time_are_deleted_after_a_day(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO ops.audit_receipts (id, created_at, dated, received_at) "
        "SELECT gen_random_uuid(), now(), dated, now() - age "
        "FROM unnest(ARRAY[true, false]) AS kinds (dated), "
        "     unnest(ARRAY['23 hours', '25 hours', '8 days']::interval[]) AS ages (age)"
    )

    assert scalar(connection, "SELECT ops.purge_receipts(100)") == 3
    kept = "SELECT dated, count(*) FROM ops.audit_receipts GROUP BY 1 ORDER BY 1"
    assert connection.execute(kept).fetchall() == [(False, 2), (True, 1)]


def test_an_event_of_a_deleted_or_unknown_user_can_be_sent_again(connection: Connection) -> None:
    store, user = AuditStore(connection), uuid4()
    event = AuditEvent(id=uuid4(), event_type="a", user_id=user, created_at=NOW)
    assert store.log_many([event]) == Stored(1, 0)

    connection.execute("UPDATE audit_logs SET user_id = NULL")
    assert store.log_many([event]) == Stored(0, 1)
    connection.execute("UPDATE audit_logs SET details = jsonb_build_object('unresolved_user_id', subject_id)")
    assert store.log_many([event]) == Stored(0, 1)


def test_a_repository_names_conflicts(connection: Connection) -> None:
    store = AuditStore(connection)
    event = AuditEvent(id=uuid4(), event_type="a", created_at=NOW)
    other = AuditEvent(id=event.id, event_type="b", created_at=NOW)
    store.log(event)

    with pytest.raises(ConflictError, match=f"{event.id} is the id of a stored event with other content"):
        store.log(other)
    assert store.log_many([AuditEvent(event_type="c"), other, event]) == Stored(1, 1, conflicts=(1,))


def test_a_foreign_event_does_not_keep_a_cloudtrail_event_out(
    client: Client, key: Callable[..., Headers], connection: Connection, tmp_path: Path
) -> None:
    delivery = tmp_path / "delivery.json"
    delivery.write_text(json.dumps({"Records": [record(1), record(2)]}))
    mallory = key("audit:write", "audit:import")
    its_id, time = record(1)["eventID"], record(1)["eventTime"]
    derived = str(uuid5(NAMESPACE, json.dumps(its_id)))
    for event in (
        {"eventType": "nothing happened", "id": its_id, "createdAt": time},
        {"eventType": "nothing happened", "id": derived},
    ):
        assert client.post(STORE, json=event, headers=mallory).status_code == 201

    assert run(connection, delivery) == ImportReport(2, 2, 0, 0, ())
    assert run(connection, delivery) == ImportReport(2, 0, 2, 0, ())
    assert scalar(connection, "SELECT count(*) FROM audit_logs WHERE origin = 'import'") == 2


def test_a_forged_cloudtrail_event_is_reported(
    client: Client, key: Callable[..., Headers], connection: Connection, tmp_path: Path
) -> None:
    delivery = tmp_path / "delivery.json"
    delivery.write_text(json.dumps({"Records": [record(1), record(2)]}))
    forged = str(uuid5(NAMESPACE, json.dumps(record(1)["eventID"])))
    event = {"eventType": "nothing happened", "id": forged, "createdAt": record(1)["eventTime"]}
    client.post(STORE, json=event, headers=key("audit:write", "audit:import"))

    report = run(connection, delivery)

    assert (report.stored, report.duplicate, report.rejected) == (1, 0, 1)
    (rejection,) = report.rejections
    assert rejection.record == 1
    assert f"conflict: {forged} is the id of a stored event with other content" in rejection.reason
