"""Requests that the API's own description allows or forbids are answered as it describes."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from litestar.testing import TestClient
from schemathesis import CheckFunction, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok

from api.app import create_app, observed
from ops_pipeline.access import keys
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.settings import Settings
from tests.api_process import free_port, serving
from tests.system.conftest import REPOSITORY

WANTED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
ENDLESS = "/api/admin/audit-logs/stream"
EVENTS: list[Any] = [
    {"eventType": f"kind {each % 3}", "createdAt": f"2026-03-01T12:00:{each:02}Z", "status": "success",
     "details": {"number": each, "nested": [{"a": None}]}, "ipAddress": "2001:db8::1"}
    for each in range(40)
]  # fmt: skip


@pytest.fixture
def api(url: str, connection: Connection, tmp_path: Path) -> Iterator[tuple[str, requests.Session]]:
    """The API's address, and a session with an admin key; some events are stored."""
    key = keys.create(connection, "schemathesis", ["admin"]).key
    shutil.copy(REPOSITORY / "policies.yaml", tmp_path)
    port = free_port()
    with serving(url, tmp_path, port), requests.Session() as session:
        address = f"http://127.0.0.1:{port}"
        session.headers["Authorization"] = f"Bearer {key}"
        assert session.post(f"{address}/api/audit-logs", json=EVENTS).status_code == 201
        yield address, session


def test_a_few_hundred_requests_are_answered_as_described(api: tuple[str, requests.Session]) -> None:
    assert _answered(*api, examples=12) >= 200


@pytest.mark.prove
def test_five_thousand_requests_are_answered_as_described(api: tuple[str, requests.Session]) -> None:
    answered = 0
    for _ in range(20):
        answered += _answered(*api, examples=150)
        if answered >= 5000:
            break
    print(f"{answered} requests were answered as described")  # noqa: T201 - the figure for docs/proofs.md
    assert answered >= 5000


def test_an_unsupported_method_is_refused_with_the_supported_ones() -> None:
    client = TestClient(observed(create_app(Settings(database_url=NOWHERE))))
    for path, item in _document()["paths"].items():
        there = {method.upper() for method in item}
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - there:
            answer = client.request(method, path.replace("{event_id}", "0" * 32))
            assert answer.status_code == 405, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
            assert there <= set(answer.headers["allow"].replace(" ", "").split(","))
            assert answer.json()["type"] == "/problems/method-not-allowed"


def test_every_operation_has_an_id_a_summary_and_its_errors() -> None:
    operations = [each for item in _document()["paths"].values() for each in item.values()]

    ids = [each["operationId"] for each in operations]
    assert len(ids) == len(set(ids))
    for each in operations:
        assert each["summary"]
        errors = {status: answer for status, answer in each["responses"].items() if status[0] in "45"}
        assert errors
        for status, answer in errors.items():
            if each["tags"] == ["health"] and status == "503":
                continue  # a probe gets the state in the form of the 200
            content = answer["content"]["application/problem+json"]
            assert content["schema"]["$ref"].endswith("ProblemDetails")
        if each["tags"][0] in {"audit", "maintenance"}:
            by_token: list[dict[str, list[str]]] = (
                [{"token": []}] if each["operationId"] == "tailAuditEvents" else []
            )
            assert each["security"] == [{"key": []}, *by_token]
            assert {"400", "401", "403", "503"} <= errors.keys()


def _document() -> dict[str, Any]:
    return create_app(Settings(database_url=NOWHERE)).openapi_schema.to_schema()


def _answered(address: str, session: requests.Session, examples: int) -> int:
    """Calls every operation that many times, validly and invalidly; returns the number of answers."""
    load_all_checks()
    chosen = cast("list[CheckFunction]", CHECKS.get_by_names(WANTED))
    schema = schemathesis.openapi.from_url(f"{address}/schema")
    counted: Counter[str] = Counter()
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        if operation.path == ENDLESS:
            continue
        for mode in GenerationMode:

            @settings(
                max_examples=examples, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(case=operation.as_strategy(mode))
            def ask(case: schemathesis.Case[Any]) -> None:
                case.call_and_validate(base_url=address, session=session, checks=chosen)
                counted[case.operation.label] += 1

            try:
                ask()
            except Unsatisfiable:  # an operation without parameters has no invalid request
                continue
    return counted.total()
