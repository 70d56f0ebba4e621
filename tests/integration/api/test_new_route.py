"""A new route is a handler and its registration: keys, problems and description come with it."""

from collections.abc import Callable, Iterator

import pytest
from litestar.testing import TestClient

from api.app import create_app, observed
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.settings import Settings
from tests.integration.api.conftest import Client, Headers
from tests.integration.api.outcomes_route import count_outcomes

PATH = "/api/admin/maintenance/outcomes"


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    app = create_app(Settings(database_url=url))
    app.register(count_outcomes)
    with TestClient(observed(app), raise_server_exceptions=False) as made:
        yield made


def test_it_answers_only_a_key_with_its_scope(
    client: Client, connection: Connection, key: Callable[..., Headers]
) -> None:
    connection.execute(
        "INSERT INTO ops.maintenance_runs (policy, outcome)"
        " VALUES ('a', 'done'), ('b', 'done'), ('b', 'failed')"
    )

    answer = client.get(PATH, headers=key("maintenance:read"))

    assert answer.json() == {"success": True, "data": {"done": 2, "failed": 1}}
    assert client.get(PATH).status_code == 401
    assert client.get(PATH, headers=key("audit:read")).status_code == 403


def test_a_wrong_parameter_is_a_problem_that_names_it(client: Client, admin: Headers) -> None:
    problem = client.get(f"{PATH}?days=0", headers=admin)

    assert (problem.status_code, problem.json()["type"]) == (400, "/problems/validation")
    assert [error["field"] for error in problem.json()["errors"]] == ["days"]


def test_it_is_described(client: Client) -> None:
    operation = client.get("/schema").json()["paths"][PATH]["get"]

    assert operation["operationId"] == "countOutcomes"
    assert operation["responses"].keys() >= {"200", "400", "401", "403", "503"}
