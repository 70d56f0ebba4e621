"""What only the server knows of an event, no client can forge; a client's times and types have limits."""

import csv
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from litestar.enums import ScopeType
from litestar.testing import TestClient
from litestar.types import ASGIApp, Receive, Scope, Send

from api.app import create_app, observed
from ops_pipeline import settings
from ops_pipeline.access import keys
from ops_pipeline.audit import trail
from ops_pipeline.audit.event import SERVER_COLUMNS, AuditEvent
from ops_pipeline.audit.filters import Filters
from ops_pipeline.audit.store import AuditStore
from ops_pipeline.postgres.connection import Connection, connect, row, scalar
from ops_pipeline.postgres.migrations import migrate
from ops_pipeline.settings import Settings, SettingsError

Client = TestClient[ASGIApp]
Headers = dict[str, str]
STORE, FIND = "/api/audit-logs", "/api/admin/audit-logs"
PEER = "192.0.2.77"
PROVENANCE = "SELECT origin, key_id, host(peer_address), received_at FROM audit_logs WHERE event_type = %s"


def from_peer(app: ASGIApp) -> ASGIApp:
    """The application, with every connection coming from one address."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            scope["client"] = (PEER, 50000)
        await app(scope, receive, send)

    return serve


def calling(url: str, **others: Any) -> Client:
    return TestClient(from_peer(observed(create_app(Settings(database_url=url, **others)))))


@pytest.fixture
def peer(url: str) -> Iterator[Client]:
    with calling(url) as client:
        yield client


@pytest.fixture
def writer(key: Callable[..., Headers]) -> Headers:
    return key("audit:write")


def test_an_event_has_its_key_its_peer_and_the_time_of_its_arrival(
    peer: Client, connection: Connection
) -> None:
    made = keys.create(connection, "app", ["audit:write"])
    headers = {"Authorization": f"Bearer {made.key}"}
    before = scalar(connection, "SELECT clock_timestamp()")
    old = (datetime.now(UTC) - timedelta(days=3)).isoformat()

    # The first request goes through the framework, the second one does not.
    for event_type, sent in [("a", {}), ("b", {}), ("c", {"createdAt": old}), ("d", {"id": str(uuid4())})]:
        posted = peer.post(STORE, json={"eventType": event_type, **sent}, headers=headers)
        assert posted.status_code == 201, posted.text
    peer.post(STORE, json=[{"eventType": "e"}, {"eventType": "f"}], headers=headers)

    for event_type in "abcdef":
        origin, key_id, address, received_at = row(connection, PROVENANCE, [event_type])
        assert (origin, key_id, address) == ("api", made.id, PEER)
        assert before <= received_at <= scalar(connection, "SELECT clock_timestamp()")


def test_every_form_of_reading_shows_it(peer: Client, admin: Headers, connection: Connection) -> None:
    event_id = peer.post(STORE, json={"eventType": "a", "userId": str(uuid4())}, headers=admin).json()["id"]
    shown = "SELECT row_to_json(a) FROM (SELECT {} FROM audit_logs WHERE id = %s) AS a"
    expected = scalar(connection, shown.format(", ".join(SERVER_COLUMNS)), [event_id])
    assert None not in expected.values()

    query = "?eventType=a"
    (of_page,) = peer.get(FIND + query, headers=admin).json()["data"]
    (of_id,) = peer.get(f"{FIND}/{event_id}", headers=admin).json()["data"]
    of_export = peer.get(f"{FIND}/export{query}", headers=admin).json()
    exported = peer.get(f"{FIND}/export{query}&format=csv", headers=admin).text
    (of_csv,) = csv.DictReader(exported.splitlines())
    (found,) = AuditStore(connection).query_logs(Filters(event_type="a"))

    for event in (of_page, of_id, of_export, of_csv, msgspec.to_builtins(found)):
        assert {name: event[name] for name in SERVER_COLUMNS} | {"received_at": ""} == {
            **expected,
            "received_at": "",
        }
        assert datetime.fromisoformat(event["received_at"]) == datetime.fromisoformat(expected["received_at"])


def test_events_of_different_keys_in_one_commit_keep_their_own(
    peer: Client, connection: Connection, key: Callable[..., Headers]
) -> None:
    by_key = {f"type {number}": key("audit:write") for number in range(8)}
    for event_type, headers in by_key.items():
        peer.post(STORE, json=[{"eventType": event_type}] * 3, headers=headers)

    owners = "SELECT count(DISTINCT key_id), count(DISTINCT (event_type, key_id)) FROM audit_logs"
    assert row(connection, owners) == (8, 8)


def test_a_client_cannot_set_what_only_the_server_knows(
    peer: Client, writer: Headers, connection: Connection
) -> None:
    forged = {
        "received_at": "2020-01-01T00:00:00Z", "key_id": str(uuid4()), "peer_address": "203.0.113.1",
        "subject_id": str(uuid4()), "origin": "maintenance",
    }  # fmt: skip
    assert set(forged) == set(SERVER_COLUMNS)

    for event in ({"eventType": "a", **forged}, {"event_type": "a", **forged}):
        assert peer.post(STORE, json=event, headers=writer).status_code == 201
    for name in ("receivedAt", "keyId", "peerAddress", "subjectId"):
        refused = peer.post(STORE, json={"eventType": "a", name: "x"}, headers=writer)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, name)

    stored = connection.execute(
        "SELECT origin, host(peer_address), subject_id, received_at > now() - interval '1 hour', "
        "key_id <> %s FROM audit_logs",
        [forged["key_id"]],
    ).fetchall()
    assert stored == [("api", PEER, None, True, True)] * 2


def test_every_other_way_of_storing_has_its_own_origin(connection: Connection) -> None:
    AuditStore(connection).log(AuditEvent(event_type="by the application"))
    connection.execute("INSERT INTO audit_logs (event_type) VALUES ('by sql')")
    trail.record(connection, "rows.removed", {})
    keys.create(connection, "app", ["audit:write"])

    origins = "SELECT event_type, origin, received_at IS NOT NULL FROM audit_logs"
    assert set(connection.execute(origins).fetchall()) == {
        ("by the application", "sql", True),
        ("by sql", "sql", True),
        ("maintenance", "maintenance", True),
        ("audit_access", "maintenance", True),
    }


@pytest.mark.parametrize(
    "name",
    [
        "audit_access", "AUDIT_ACCESS", " audit_access ", "maintenance", "Maintenance\n", "MAINTENANCE",
        "\uff4d\uff41\uff49\uff4e\uff54\uff45\uff4e\uff41\uff4e\uff43\uff45", "audit\uff3faccess",
        "\u3000maintenance",
    ],
)  # fmt: skip
def test_our_own_types_and_their_look_alikes_are_reserved(
    peer: Client, writer: Headers, connection: Connection, name: str
) -> None:
    for sent in ({"eventType": name}, {"event_type": name}, [{"eventType": name}]):
        for _ in range(2):
            answer = peer.post(STORE, json=sent, headers=writer)
            assert (answer.status_code, "is reserved" in answer.text) == (400, True), answer.text

    assert scalar(connection, "SELECT count(*) FROM audit_logs") == 0


def test_a_clients_time_is_within_a_window_and_imports_have_a_scope(
    url: str, connection: Connection, key: Callable[..., Headers]
) -> None:
    writer, importer = key("audit:write"), key("audit:write", "audit:import")
    now = datetime.now(UTC)
    minute = timedelta(minutes=1)
    within = [now - timedelta(days=5) + minute, now + timedelta(days=1) - minute]
    beyond = [now - timedelta(days=5) - minute, now + timedelta(days=1) + minute, now - timedelta(days=4000)]

    def post(client: Client, moment: datetime, headers: Headers) -> int:
        answer = client.post(STORE, json={"eventType": "a", "createdAt": moment.isoformat()}, headers=headers)
        if answer.status_code == 400:
            (error,) = answer.json()["errors"]
            assert error["field"] == "createdAt"
            assert "at most 5 days in the past" in error["reason"]
            assert "audit:import" in error["reason"]
        return answer.status_code

    with calling(url, audit_max_age_days=5) as client:
        for _ in range(2):  # through the framework, and without it
            assert [post(client, moment, writer) for moment in within] == [201, 201]
            assert [post(client, moment, writer) for moment in beyond] == [400, 400, 400]
            assert [post(client, moment, importer) for moment in beyond] == [201, 201, 201]
    refused = scalar(connection, "SELECT count(*) FROM audit_logs WHERE created_at < %s", [beyond[0]])
    assert refused == 2, "only the importer's"


@pytest.mark.parametrize("stored_by", ["api", "sql"])
def test_a_deleted_user_is_still_named(new_database: Callable[..., str], stored_by: str) -> None:
    url, user = new_database(), uuid4()
    with connect(url, "test") as connection:
        connection.execute("CREATE TABLE users (id uuid PRIMARY KEY)")
        migrate(url)
        connection.execute("INSERT INTO users VALUES (%s)", [user])
        if stored_by == "api":
            AuditStore(connection).log(AuditEvent(event_type="login", user_id=user))
        else:
            connection.execute("INSERT INTO audit_logs (event_type, user_id) VALUES ('login', %s)", [user])
        assert scalar(connection, "SELECT user_id FROM audit_logs") == user

        connection.execute("DELETE FROM users")

        assert row(connection, "SELECT user_id, subject_id FROM audit_logs") == (None, user)


@pytest.mark.parametrize(
    ("trusted", "forwarded", "recorded"),
    [
        ("", "198.51.100.1", PEER),
        ("127.0.0.1, ::1", "198.51.100.1", PEER),
        (PEER, "198.51.100.1", "198.51.100.1"),
        (PEER, "203.0.113.5, 198.51.100.1", "198.51.100.1"),
        ("192.0.2.0/24,10.0.0.0/8", "203.0.113.5, 198.51.100.1, 10.1.2.3", "198.51.100.1"),
        (PEER, "198.51.100.1, nonsense", PEER),
        (PEER, "", PEER),
    ],
)
def test_a_forwarded_address_is_believed_of_trusted_proxies_only(
    url: str,
    connection: Connection,
    admin: Headers,
    monkeypatch: pytest.MonkeyPatch,
    trusted: str,
    forwarded: str,
    recorded: str,
) -> None:
    monkeypatch.setenv("OPS_TRUSTED_PROXIES", trusted)
    proxies = settings.load().trusted_proxies

    with calling(url, trusted_proxies=proxies) as client:
        answer = client.get(FIND, headers={**admin, "X-Forwarded-For": forwarded})
    assert answer.status_code == 200

    addresses = (
        "SELECT host(ip_address), host(peer_address), origin FROM audit_logs WHERE action = 'audit.read'"
    )
    assert row(connection, addresses) == (recorded, PEER, "api")


def test_an_invalid_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_TRUSTED_PROXIES", "10.0.0.1/8")

    with pytest.raises(SettingsError, match=r"OPS_TRUSTED_PROXIES: 10\.0\.0\.1/8 has host bits set; write"):
        settings.load()


def test_an_adopted_table_gets_the_columns_without_being_rewritten(
    new_database: Callable[..., str],
) -> None:
    url = new_database()
    with connect(url, "test") as connection:
        connection.execute(
            """
            CREATE TABLE audit_logs (
              id uuid NOT NULL DEFAULT gen_random_uuid(), event_type varchar(50) NOT NULL, user_id uuid,
              resource_type varchar(50), resource_id uuid, action varchar(100), details jsonb,
              ip_address inet, status varchar(20), duration_ms integer,
              created_at timestamptz NOT NULL DEFAULT now(), created_by varchar(255),
              PRIMARY KEY (created_at, id)
            ) PARTITION BY RANGE (created_at);
            CREATE TABLE audit_logs_default PARTITION OF audit_logs DEFAULT;
            INSERT INTO audit_logs (event_type) VALUES ('before');
            """
        )
        file = "SELECT pg_relation_filenode('audit_logs_default')"
        before = scalar(connection, file)

        migrate(url)

        assert scalar(connection, file) == before
        connection.execute("INSERT INTO audit_logs (event_type) VALUES ('after')")
        assert row(connection, PROVENANCE, ["before"]) == (None, None, None, None)
        assert row(connection, PROVENANCE, ["after"])[0] == "sql"


@pytest.mark.parametrize("spelling", ["as a page returns it", "with the names of the mission"])
def test_what_was_read_can_be_posted(
    peer: Client, admin: Headers, connection: Connection, spelling: str
) -> None:
    sent = {
        "eventType": "file.opened", "resourceType": "file", "resourceId": str(uuid4()), "action": "open",
        "userId": str(uuid4()), "details": {"a": [1.50, 12345678901234567890123]}, "status": "failure",
        "ipAddress": "192.0.2.7", "durationMs": 3, "createdBy": "files",
    }  # fmt: skip
    peer.post(STORE, json=[sent, {"eventType": "b"}], headers=admin)
    page = peer.get(FIND, headers=admin).json()["data"]
    if spelling != "as a page returns it":
        page = [
            {camel(name): value for name, value in event.items() if name not in SERVER_COLUMNS}
            for event in page
        ]

    again = peer.post(STORE, json=page, headers=admin)
    alone = peer.post(STORE, json=page[0], headers=admin)
    connection.execute("CREATE TABLE copies AS TABLE audit_logs")
    connection.execute("DELETE FROM audit_logs; DELETE FROM ops.audit_receipts")
    anew = peer.post(STORE, json=page, headers=admin)

    assert [answer.json()["success"] for answer in (again, alone, anew)] == [True] * 3, again.text
    columns = "id, event_type, user_id, resource_id, details, ip_address, created_at, created_by, subject_id"
    differing = f"SELECT {columns} FROM audit_logs EXCEPT SELECT {columns} FROM copies"  # noqa: S608
    assert scalar(connection, "SELECT count(*) FROM audit_logs") == 2
    assert connection.execute(differing).fetchall() == []


def test_a_field_in_both_spellings_is_refused(peer: Client, writer: Headers) -> None:
    answer = peer.post(STORE, json={"eventType": "a", "event_type": "b"}, headers=writer)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "eventType"
    assert "both spellings" in answer.json()["errors"][0]["reason"]


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))
