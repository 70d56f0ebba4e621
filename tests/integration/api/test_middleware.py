"""What probes, Prometheus and the log get from the middleware."""

import io
import json
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog
from litestar.testing import TestClient
from litestar.types import ASGIApp
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from prometheus_client.samples import Sample

from api.app import create_app, observed
from api.process import logs
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.settings import Settings

Client = TestClient[ASGIApp]
Headers = dict[str, str]
MISSION = {
    "http_request_duration_ms": {"100.0", "500.0", "1000.0", "2000.0", "5000.0"},
    "database_query_duration_ms": {"10.0", "50.0", "100.0", "500.0", "1000.0"},
    "llm_request_duration_ms": {"500.0", "1000.0", "2000.0", "5000.0", "10000.0"},
}


def samples(client: Client, name: str) -> list[Sample]:
    text = client.get("/metrics").text
    return [sample for family in read_text(text) for sample in family.samples if sample.name == name]


def value(client: Client, name: str, **labels: str) -> float:
    return sum(each.value for each in samples(client, name) if labels.items() <= each.labels.items())


@pytest.mark.parametrize("path", ["live", "ready", "startup", "full"])
def test_no_health_answer_is_cached(client: Client, path: str) -> None:
    answer = client.get(f"/health/{path}")

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["timestamp"].endswith("Z")


def test_health_answers_have_the_missions_shape(client: Client) -> None:
    live = client.get("/health/live").json()
    ready = client.get("/health/ready").json()
    full = client.get("/health/full").json()

    assert live.keys() == {"status", "timestamp", "uptime"}
    assert live["status"] == "alive"
    assert ready.keys() == {"status", "timestamp", "database_latency_ms"}
    assert ready["status"] == "ready"
    assert full.keys() == {"status", "timestamp", "uptime", "version", "checks"}
    assert full["status"] == "degraded", "no scheduler has reported"
    assert full["checks"]["database"]["status"] == full["checks"]["schema"]["status"] == "ok"
    assert full["checks"]["cache"]["status"] == "not_configured"


def test_a_database_without_our_tables_is_not_ready(new_database: Callable[..., str]) -> None:
    with TestClient(observed(create_app(Settings(database_url=new_database())))) as client:
        ready = client.get("/health/ready")
        asked = client.get("/api/admin/audit-logs", headers={"Authorization": "Bearer x"})

    assert ready.status_code == 503
    assert "opsctl migrate" in ready.json()["reason"]
    assert asked.status_code == 503


def test_the_metrics_have_the_missions_names_and_buckets(client: Client, admin: Headers) -> None:
    event = {"eventType": "llm_request", "durationMs": 700, "status": "success", "details": {"model": "m"}}
    client.post("/api/audit-logs", json=event, headers=admin)

    for name, mission in MISSION.items():
        for labeled in (name, name.replace("_ms", "_seconds")):
            assert samples(client, f"{labeled}_count")
        assert mission < {each.labels["le"] for each in samples(client, f"{name}_bucket")}
    assert value(client, "llm_request_duration_ms_sum", model="m", status="success") == 700
    assert value(client, "llm_request_duration_seconds_sum", model="m", status="success") == 0.7


def test_unknown_paths_and_methods_create_no_label(client: Client) -> None:
    for path in ("/invented", "/api/admin/audit-logs/invented"):
        client.get(path)
    client.request("BREW", "/health/live")

    counts = samples(client, "http_request_duration_ms_count")
    assert not [each for each in counts if "invented" in each.labels["route"]]
    assert {each.labels["method"] for each in counts} <= {"GET", "other"}
    assert value(client, "http_request_duration_ms_count", route="unmatched", status_code="404") == 2


def test_the_fifty_first_model_is_counted_as_other(client: Client, admin: Headers) -> None:
    events = [
        {"eventType": "llm_request", "durationMs": 1, "details": {"model": f"m{number}"}}
        for number in range(55)
    ]
    client.post("/api/audit-logs", json=events, headers=admin)

    assert value(client, "llm_request_duration_ms_count", model="other") == 5
    assert len({each.labels["model"] for each in samples(client, "llm_request_duration_ms_count")}) == 51


def test_every_error_is_counted_by_its_kind(client: Client, admin: Headers) -> None:
    client.get("/nothing")
    client.get("/api/admin/audit-logs")
    client.get("/api/admin/audit-logs?limit=x", headers=admin)
    client.delete("/api/audit-logs")

    kinds = {"not-found": "404", "unauthorized": "401", "validation": "400", "method-not-allowed": "405"}
    for kind, status in kinds.items():
        assert value(client, "errors_total", error_type=kind, status_code=status) == 1


def test_the_applications_rows_are_counted(client: Client, connection: Connection) -> None:
    connection.execute("CREATE TABLE conversations (id int)")
    connection.execute("INSERT INTO conversations SELECT generate_series(1, 3)")
    connection.execute("CREATE TABLE sessions (expires_at timestamptz)")
    connection.execute("INSERT INTO sessions VALUES (now() + interval '1 day'), (now() - interval '1 day')")

    text = client.get("/metrics").text

    assert "conversations_total 3.0" in text
    assert "active_sessions 1.0" in text


def test_openmetrics_is_sent_when_the_client_asks_for_it(client: Client) -> None:
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = read_openmetrics(answer.text)  # type: ignore[no-untyped-call]  # theirs
    assert {family.name for family in families} > {"errors", "active_sessions"}


def test_a_valid_request_id_is_kept_and_any_other_is_replaced(client: Client) -> None:
    assert client.get("/health/live", headers={"X-Request-Id": "a-1"}).headers["x-request-id"] == "a-1"
    for strange in ("x" * 65, "a b", 'a"b'):
        given = client.get("/nothing", headers={"X-Request-Id": strange}).headers["x-request-id"]
        assert given != strange
        assert given


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    before = structlog.get_config()
    logs.configure()
    structlog.configure(cache_logger_on_first_use=False)
    yield written
    structlog.configure(**before)
    logs._request_log.stream = None  # noqa: SLF001 - as before


def test_a_failure_is_logged_with_its_request_and_without_the_key(
    log: io.StringIO, client: Client, key: Callable[..., Headers], connection: Connection
) -> None:
    headers = key("admin")
    connection.execute("ALTER TABLE ops.api_keys RENAME COLUMN scopes TO gone")  # an unexpected error

    answer = client.get("/api/admin/audit-logs?action=x", headers={**headers, "X-Request-Id": "mine"})

    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal")
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    failures = [line for line in lines if line["event"] == "request failed"]
    assert [line["request_id"] for line in failures] == ["mine"]
    assert failures[0]["exception"]
    assert headers["Authorization"].removeprefix("Bearer ") not in log.getvalue()
