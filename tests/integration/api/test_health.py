"""The health routes: their answers, and who sees which details."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ops_pipeline.access import keys
from ops_pipeline.postgres.connection import Connection
from tests.eventually import eventually
from tests.integration.api.conftest import Client, Headers
from tests.integration.api.health import serving

TIERS = ["/health/live", "/health/ready", "/health/startup", "/health/full", "/health/full/database"]
ALIASES = {"/livez": "/health/live", "/readyz": "/health/ready", "/healthz": "/health/full"}
CHECKS = {
    "database", "schema", "pool", "cache", "externalApi", "scheduler", "maintenance", "pause", "partitions",
    "archive", "archiveDisk", "keys", "forward", "transactions", "replicas",
}  # fmt: skip


def test_no_health_answer_may_be_cached(client: Client) -> None:
    for path in (*TIERS, *ALIASES, "/health/full/invented", "/health/full?exclude=invented"):
        assert client.get(path).headers["cache-control"] == "no-store", path


def test_an_alias_answers_as_its_route(client: Client) -> None:
    for alias, route in ALIASES.items():
        assert client.get(alias).json().keys() == client.get(route).json().keys()


def test_every_check_has_status_and_latency_and_verbose_adds_the_details(client: Client) -> None:
    terse = client.get("/health/full").json()["checks"]
    verbose = client.get("/health/full?verbose").json()["checks"]

    assert terse.keys() == verbose.keys() == CHECKS
    for name in CHECKS:
        assert terse[name].keys() == {"status", "latency"}
        assert verbose[name].keys() == {"status", "latency", "critical", "checked_at", "runbook"}
        assert verbose[name]["runbook"] == f"docs/runbook.md#{name.lower()}"
        alone = client.get(f"/health/full/{name}").json()
        assert alone.keys() == {"name", "timestamp", *verbose[name]}
    ready = client.get("/health/ready?verbose").json()["checks"]
    assert ready.keys() == {"database", "schema"}


@pytest.mark.parametrize("scope", ["maintenance:read", "admin"])
def test_findings_are_shown_to_a_key_with_the_scope_for_them(
    client: Client, key: Callable[..., Headers], scope: str
) -> None:
    headers = key(scope)
    eventually(lambda: "message" in client.get("/health/full/cache", headers=headers).json())

    full = client.get("/health/full?verbose", headers=headers).json()["checks"]
    ready = client.get("/health/ready?verbose", headers=headers).json()["checks"]

    assert full["cache"]["message"] == "OPS_CACHE_URL is not set"
    assert all("message" in check for check in (*full.values(), *ready.values()))
    assert "message" not in client.get("/health/full", headers=headers).json()["checks"]["cache"]


def test_other_clients_see_statuses_only(client: Client, key: Callable[..., Headers]) -> None:
    may = key("maintenance:read")
    eventually(lambda: "message" in client.get("/health/full/cache", headers=may).json())
    strange = [
        {}, key("audit:read", "audit:write", "audit:export"), {"Authorization": "Bearer ops_invented"},
        {"Authorization": f"Basic {may['Authorization'].split()[1]}"}, {"Authorization": "Bearer"},
    ]  # fmt: skip

    for headers in strange:
        for path in ("/health/full?verbose", "/health/ready?verbose", "/health/full/cache"):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 200
            assert "message" not in answer.text


def test_a_revoked_or_expired_key_sees_statuses_only(client: Client, connection: Connection) -> None:
    revoked, expiring = (keys.create(connection, name, ["admin"]) for name in ("revoked", "expiring"))
    headers = [{"Authorization": f"Bearer {each.key}"} for each in (revoked, expiring)]

    def sees_messages() -> list[bool]:
        return ["message" in client.get("/health/full/cache", headers=each).json() for each in headers]

    eventually(lambda: sees_messages() == [True, True])
    keys.revoke(connection, "revoked")
    connection.execute(
        "UPDATE ops.api_keys SET expires_at = clock_timestamp() + interval '1 second' WHERE id = %s",
        [expiring.id],
    )
    eventually(lambda: sees_messages() == [False, False])


def test_excluded_checks_affect_neither_the_status_nor_the_list(client: Client) -> None:
    everything = ",".join(CHECKS - {"pool"})
    listed = client.get(f"/health/full?exclude={everything}").json()
    repeated = client.get("/health/full?exclude=cache&exclude=replicas, pool").json()

    assert listed["checks"].keys() == {"pool"}
    assert listed["status"] == "healthy"
    assert repeated["checks"].keys() == CHECKS - {"cache", "replicas", "pool"}


def test_an_unknown_check_is_refused_by_name(client: Client) -> None:
    unknown, excluded = client.get("/health/full/cash"), client.get("/health/full?exclude=cache,cash")

    assert (unknown.status_code, excluded.status_code) == (404, 400)
    assert unknown.json()["errors"][0]["field"] == "check"
    assert excluded.json()["errors"][0]["field"] == "exclude"
    for answer in (unknown, excluded):
        assert "'cash' does not exist; the checks are: database, schema" in answer.json()["detail"]


def test_the_form_is_the_one_the_client_prefers(client: Client) -> None:
    wishes = {
        "application/health+json": True,
        "application/health+json, application/json;q=0.5": True,
        "application/health+json;q=0.5, application/json": False,
        "application/json": False,
        "*/*": False,
    }
    for path in TIERS:
        for accept, drafted in wishes.items():
            answer = client.get(path, headers={"Accept": accept})

            expected = "application/health+json" if drafted else "application/json"
            assert answer.headers["content-type"].split(";")[0] == expected, (path, accept)
            assert "Accept" in answer.headers["vary"]
            assert (answer.json()["status"] in {"pass", "warn", "fail"}) is drafted


def test_the_form_of_the_draft_says_what_failed_and_links_to_the_runbook(
    url: str, key: Callable[..., Headers], tmp_path: Path
) -> None:
    headers = {**key("admin"), "Accept": "application/health+json"}
    with serving(url, archive_url=str(tmp_path / "gone")) as client:
        eventually(lambda: client.get("/health/full/archive").status_code == 503)
        eventually(lambda: "output" in client.get("/health/full", headers=headers).text)
        answer = client.get("/health/full", headers=headers).json()

    assert answer["status"] == "warn"
    (found,) = answer["checks"]["archive:responseTime"]
    assert found["status"] == "warn"
    assert found["observedUnit"] == "ms"
    assert found["output"].endswith("is not a folder")
    assert found["links"] == {"about": "docs/runbook.md#archive"}
