"""Every answer matches the API's own OpenAPI description and has no undescribed member."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from litestar.testing import TestClient

from api.app import create_app, observed
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.settings import Settings
from tests.integration.api.conftest import Client, Headers

EVENT: dict[str, Any] = {
    "eventType": "file.opened", "resourceType": "file", "action": "open", "status": "success",
    "details": {"a": [1, None]}, "ipAddress": "192.0.2.7", "durationMs": 3, "createdBy": "files",
}  # fmt: skip
AUDIT = "/api/admin/audit-logs"
POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention:
      - {table: sessions, column: created_at, keep: 30 days}
      - {table: nowhere, column: created_at, keep: 30 days}
    orphans:
      - {table: memories, column: session_id, references: sessions.id, grace_period: 1 hour}
    vacuum: {tables: [sessions]}
"""
TABLES = """
CREATE TABLE sessions (id integer PRIMARY KEY, created_at timestamptz);
CREATE TABLE memories (id integer PRIMARY KEY, session_id integer);
CREATE TABLE notes (session_id integer REFERENCES sessions ON DELETE CASCADE);
CREATE INDEX ON notes (session_id);
INSERT INTO sessions VALUES (1, now() - interval '40 days'), (2, now());
INSERT INTO memories VALUES (1, 2), (2, 3);
INSERT INTO notes VALUES (1);
ANALYZE sessions, memories, notes;
"""
RUN = """
INSERT INTO ops.maintenance_runs (policy, finished_at, cutoff, rows_remaining, outcome, stopped_reason,
                                  method, rows_planned, working_seconds, throttled, progress_at, details)
VALUES ('app/retention/sessions', now(), now(), 3, 'stopped', 'window', 'keyset scan', 10, 1.5,
        '{"replica_lag": {"count": 2, "seconds": 0.5}}', now(), '{"a": 1}'),
       ('app/retention/sessions', NULL, NULL, NULL, 'running', NULL, NULL, NULL, 0, '{}', NULL, '{}')
"""


@pytest.fixture
def client(url: str, tmp_path: Path, connection: Connection) -> Iterator[Client]:
    connection.execute(TABLES)
    connection.execute(RUN)
    policies = tmp_path / "policies.yaml"
    policies.write_text(POLICIES)
    app = create_app(Settings(database_url=url, policies=policies))
    with TestClient(observed(app), raise_server_exceptions=False) as made:
        yield made


@pytest.mark.parametrize("body", [EVENT, [EVENT], [EVENT, {}], [{}], {}])
def test_posts_are_answered_as_described(client: Client, admin: Headers, body: Any) -> None:
    answer = client.post("/api/audit-logs", json=body, headers=admin)

    _check("post", "/api/audit-logs", answer.status_code, answer.headers["content-type"], answer.content)


@pytest.mark.parametrize("accept", ["application/json", "application/health+json"])
@pytest.mark.parametrize(
    ("path", "query"),
    [
        (AUDIT, ""),
        (AUDIT, "?limit=1"),
        (AUDIT, "?count=exact"),
        (AUDIT, "?limit=0"),
        (f"{AUDIT}/{{event_id}}", ""),
        (f"{AUDIT}/summary", ""),
        ("/api/admin/maintenance/runs", ""),
        ("/api/admin/maintenance/plan", ""),
        ("/health/live", ""),
        ("/health/ready", ""),
        ("/health/ready", "?verbose"),
        ("/health/startup", ""),
        ("/health/full", ""),
        ("/health/full", "?verbose"),
        ("/health/full", "?exclude=nothing"),
        ("/health/full/{name}", ""),
    ],
)
def test_queries_are_answered_as_described(
    client: Client, admin: Headers, path: str, query: str, accept: str
) -> None:
    stored = client.post("/api/audit-logs", json=EVENT, headers=admin).json()
    client.post("/api/audit-logs", json=EVENT, headers=admin)
    address = path.format(event_id=stored["id"], name="database")

    answer = client.get(address + query, headers={**admin, "Accept": accept})

    assert answer.status_code in ({400} if query in {"?limit=0", "?exclude=nothing"} else {200, 503})
    _check("get", path, answer.status_code, answer.headers["content-type"], answer.content)


def test_the_plan_has_every_kind_and_the_runs_what_throttled_them(client: Client, admin: Headers) -> None:
    plans = client.get("/api/admin/maintenance/plan", headers=admin).json()["data"]
    runs = client.get("/api/admin/maintenance/runs", headers=admin).json()["data"]

    sessions, nowhere, memories, vacuum = plans
    assert sessions["cascaded"][0]["table"]["name"] == "notes"
    assert "does not exist" in nowhere["problem"]
    assert (memories["policy"], memories["grace_period"]) == ("app/orphans/memories.session_id", "PT3600S")
    assert vacuum["planned_tables"]
    assert {"replica_lag": {"count": 2, "seconds": 0.5}} in [run["throttled"] for run in runs]


def test_a_wrong_address_and_a_wrong_method_say_what_would_be_right(client: Client) -> None:
    wrong_path = client.get("/api/audit")
    wrong_method = client.put("/api/audit-logs")

    assert (wrong_path.status_code, wrong_path.json()["title"]) == (404, "Not found")
    assert (
        wrong_path.json()["detail"] == "The path /api/audit does not exist; GET /schema lists those that do."
    )
    assert (wrong_method.status_code, wrong_method.json()["title"]) == (405, "Method not allowed")
    allowed = wrong_method.headers["allow"]
    assert "POST" in allowed
    assert wrong_method.json()["detail"] == f"/api/audit-logs does not support PUT. Allowed: {allowed}."


def test_a_member_that_is_not_described_is_noticed() -> None:
    page: dict[str, Any] = {"success": True, "count": 0, "next": None, "data": []}
    _check("get", AUDIT, 200, "application/json", json.dumps(page).encode())

    with pytest.raises(jsonschema_rs.ValidationError):
        _check("get", AUDIT, 200, "application/json", json.dumps({**page, "more": 1}).encode())


def _check(method: str, path: str, status: int, media_type: str, content: bytes) -> None:
    """Raises ValidationError if the answer is not as described, KeyError if it is not described."""
    document = create_app(
        Settings(database_url="postgresql://ops@127.0.0.1:1/none")
    ).openapi_schema.to_schema()
    described = document["paths"][path][method]["responses"][str(status)]["content"]
    schema = described[media_type.partition(";")[0]]["schema"]
    closed = _closed({**schema, "components": document["components"]})
    jsonschema_rs.validator_for(closed, validate_formats=True).validate(json.loads(content))


def _closed(schema: Any) -> Any:
    """The same schema without additional members."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(item) for name, item in schema.items()}
    return {"additionalProperties": False, **closed} if isinstance(closed.get("properties"), dict) else closed
