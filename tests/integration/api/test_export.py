"""An export has every event that matches, in a form that other programs read, or is visibly cut off."""

import csv
import io
import json
from collections.abc import Callable
from itertools import pairwise

import httpx
import pytest
from litestar.testing import TestClient
from litestar.types import ASGIApp

from ops_pipeline.postgres.connection import Connection
from tests.integration.api.serving import serving

Client = TestClient[ASGIApp]
Headers = dict[str, str]
EXPORT = "/api/admin/audit-logs/export"
FILL = """
INSERT INTO audit_logs (event_type, action, details, created_at)
SELECT 'made', 'number ' || number, jsonb_build_object('n', number),
       '2026-03-01'::timestamptz + number / 3 * interval '1 s'
FROM generate_series(1, %s) number
"""


@pytest.mark.parametrize("rows", [0, 1, 2000, 4001])
def test_every_event_that_matches_is_in_the_export_once(
    client: Client, admin: Headers, connection: Connection, rows: int
) -> None:
    connection.execute(FILL, [rows])
    connection.execute("INSERT INTO audit_logs (event_type) VALUES ('other')")

    lines = client.get(f"{EXPORT}?eventType=made", headers=admin).text.splitlines()

    events = [json.loads(line) for line in lines]
    assert sorted(event["details"]["n"] for event in events) == list(range(1, rows + 1))
    assert all(
        (newer["created_at"], newer["id"]) > (older["created_at"], older["id"])
        for newer, older in pairwise(events)
    )


def test_an_export_says_what_it_is(client: Client, admin: Headers) -> None:
    ndjson = client.get(EXPORT, headers=admin)
    table = client.get(f"{EXPORT}?format=csv", headers=admin)

    assert ndjson.headers["content-type"].startswith("application/x-ndjson")
    assert table.headers["content-type"].startswith("text/csv")
    assert ndjson.headers["content-disposition"].endswith('.ndjson"')
    assert table.headers["content-disposition"].endswith('.csv"')
    assert table.text.splitlines()[0].startswith("id,event_type,user_id,")


HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", 'a "quoted", text', "two\r\nlines", "ä€😀", " =1"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_csv_field_holds_any_text_and_never_a_formula(
    client: Client, admin: Headers, connection: Connection, text: str
) -> None:
    connection.execute(
        "INSERT INTO audit_logs (event_type, resource_type, action, created_by, details)"
        " VALUES ('made', %(text)s, %(text)s, %(text)s, to_jsonb(%(number)s::int))",
        {"text": text, "number": -5},
    )

    answer = client.get(f"{EXPORT}?format=csv&eventType=made", headers=admin).content.decode()

    (row,) = csv.DictReader(io.StringIO(answer, newline=""))
    shown = f"'{text}" if text[0] in "=+-@\t\r" else text
    assert (row["resource_type"], row["action"], row["created_by"]) == (shown, shown, shown)
    assert row["details"] == "'-5"
    assert row["user_id"] == row["status"] == row["duration_ms"] == row["ip_address"] == ""


@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_an_export_can_continue_after_any_line_of_an_earlier_one(
    client: Client, admin: Headers, connection: Connection, kind: str
) -> None:
    connection.execute(FILL, [50])

    def read(query: str) -> list[tuple[str, str]]:
        text = client.get(f"{EXPORT}?format={kind}&startDate=-50w&eventType=made&{query}", headers=admin).text
        found = (
            csv.DictReader(io.StringIO(text)) if kind == "csv" else [json.loads(x) for x in text.splitlines()]
        )
        return [(row["id"], row["_cursor"]) for row in found]

    whole = read("cursors=true")
    for place in (0, 17, 48, 49):
        rest = read(f"cursors=true&after={whole[place][1]}")
        assert [event for event, _ in rest] == [event for event, _ in whole[place + 1 :]]


def test_an_export_needs_its_own_scope(client: Client, key: Callable[..., Headers]) -> None:
    assert client.get(EXPORT, headers=key("audit:read")).status_code == 403
    assert client.get(EXPORT, headers=key("audit:export")).status_code == 200


@pytest.mark.parametrize(("query", "field"), [("format=xml", "format"), ("after=x", "after"), ("q=a", "q")])
def test_an_invalid_export_is_refused_by_field(
    client: Client, admin: Headers, query: str, field: str
) -> None:
    answer = client.get(f"{EXPORT}?{query}", headers=admin)

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_an_export_that_fails_is_cut_off_and_never_looks_complete(
    url: str, admin: Headers, connection: Connection
) -> None:
    connection.execute(FILL, [50_000])
    connection.execute("VACUUM ANALYZE audit_logs")

    with serving(url) as base, httpx.stream("GET", f"{base}{EXPORT}", headers=admin, timeout=30) as answer:
        lines = answer.iter_lines()
        next(lines)
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE '%FETCH%' AND pid <> pg_backend_pid()"
        )
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)

    assert answer.status_code == 200


def test_an_export_is_recorded_with_its_number_of_rows(
    client: Client, admin: Headers, connection: Connection
) -> None:
    connection.execute(FILL, [7])

    client.get(f"{EXPORT}?eventType=made", headers=admin)

    noted = connection.execute(
        "SELECT action, details -> 'rows' FROM audit_logs WHERE event_type = 'audit_access' ORDER BY 1 DESC"
    ).fetchall()
    assert noted == [("audit.export.started", 0), ("audit.export", 7)]
