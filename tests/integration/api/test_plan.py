"""GET /api/admin/maintenance/plan: what a run would delete now."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from litestar.testing import TestClient

from api.app import create_app, observed
from api.maintenance import routes
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.settings import Settings
from tests.integration.api.conftest import Client, Headers

PATH = "/api/admin/maintenance/plan"
POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention:
      - {table: sessions, column: created_at, keep: 30 days, guard: {max_rows: 2}}
      - {table: nowhere, column: created_at, keep: 30 days}
    vacuum: {tables: [sessions]}
  other:
    url: postgresql://nobody@127.0.0.1:1/other
    orphans: [{table: a, column: b_id, references: b.id}]
"""


@pytest.fixture
def client(url: str, tmp_path: Path, connection: Connection) -> Iterator[Client]:
    connection.execute(
        "CREATE TABLE sessions (created_at timestamptz);"
        "INSERT INTO sessions SELECT now() - n * interval '9 days' FROM generate_series(0, 9) AS n"
    )
    policies = tmp_path / "policies.yaml"
    policies.write_text(POLICIES)
    settings = Settings(database_url=url, policies=policies)
    with TestClient(observed(create_app(settings)), raise_server_exceptions=False) as made:
        yield made


def test_every_policy_is_planned_and_one_that_fails_hides_no_other(client: Client, admin: Headers) -> None:
    answer = client.get(PATH, headers=admin)

    assert answer.status_code == 200
    assert answer.json()["count"] == 4
    sessions, nowhere, vacuum, orphans = answer.json()["data"]
    assert sessions["policy"] == "app/retention/sessions"
    assert (sessions["rows"]["eligible"], sessions["rows"]["total"], sessions["rows"]["exact"]) == (
        6,
        10,
        True,
    )
    assert sessions["method"]["name"] == "block-range scan"
    assert len(sessions["needs_approval"]) == 2
    assert nowhere.keys() == {"policy", "problem"}
    assert nowhere["policy"] == "app/retention/nowhere"
    assert 'table "nowhere" does not exist' in nowhere["problem"]
    assert (vacuum["policy"], vacuum["rows"]) == ("app/vacuum", None)
    msgspec.json.decode(answer.content, type=routes.PlanPage)
    assert "no connection was made" in orphans["problem"]


def test_it_removes_and_writes_nothing(client: Client, admin: Headers, connection: Connection) -> None:
    client.get(PATH, headers=admin)

    ((rows, runs, plans),) = connection.execute(
        "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM ops.maintenance_runs),"
        " (SELECT count(*) FROM ops.plans)"
    ).fetchall()
    assert (rows, runs, plans) == (10, 0, 0)


def test_an_invalid_policies_file_is_reported(client: Client, admin: Headers, tmp_path: Path) -> None:
    (tmp_path / "policies.yaml").write_text("version: 2\n")

    answer = client.get(PATH, headers=admin)

    assert answer.status_code == 503
    assert "policies.yaml:1: version: must be 1" in answer.json()["detail"]
