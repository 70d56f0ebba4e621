"""GET /api/admin/audit-logs/summary: the number of events in each interval."""

import pytest
from litestar.testing import TestClient
from litestar.types import ASGIApp

from ops_pipeline.postgres.connection import Connection

Client = TestClient[ASGIApp]
Headers = dict[str, str]
FIND = "/api/admin/audit-logs"


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("eventType", [("a", 3), ("b", 1)]), ("status", [("failure", 2), ("success", 1), (None, 1)]),
        ("action", [("x", 4)]),
    ],
)  # fmt: skip
def test_a_summary_counts_events_by_hour(
    client: Client, admin: Headers, connection: Connection, by: str, expected: list[tuple[str | None, int]]
) -> None:
    connection.execute(
        "INSERT INTO audit_logs (event_type, status, action, created_at) VALUES"
        " ('a', 'failure', 'x', '2026-03-01 10:00'), ('a', 'failure', 'x', '2026-03-01 10:59:59'),"
        " ('a', 'success', 'x', '2026-03-01 10:30'), ('b', NULL, 'x', '2026-03-01 10:31'),"
        " ('a', 'success', 'x', '2026-03-01 12:00')"
    )

    answer = client.get(
        f"{FIND}/summary",
        params={"by": by, "bucket": "1h", "startDate": "2026-03-01", "endDate": "2026-03-02"},
        headers=admin,
    ).json()

    first, second = answer["data"]
    assert (first["bucket"], first["total"]) == ("2026-03-01T10:00:00+00:00", 4)
    assert [(each["value"], each["count"]) for each in first["counts"]] == expected
    assert (second["bucket"], second["total"]) == ("2026-03-01T12:00:00+00:00", 1)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("bucket=1m&startDate=-7d", "bucket"), ("bucket=2h", "bucket"), ("by=user", "by"),
        ("startDate=now&endDate=-1d", "startDate"), ("bucket=1d&startDate=1970-01-01", "bucket"),
    ],
)  # fmt: skip
def test_a_summary_that_asks_for_too_much_is_refused(
    client: Client, admin: Headers, query: str, field: str
) -> None:
    answer = client.get(f"{FIND}/summary?{query}", headers=admin)

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]
