"""Every query of the audit log is answered in full, page by page, or refused with its mistake named."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar.testing import TestClient
from litestar.types import ASGIApp

from ops_pipeline.audit import filters
from ops_pipeline.audit import pages as pages_of_events
from ops_pipeline.partitions.premake import premake_days
from ops_pipeline.postgres.connection import Connection, connect
from tests.named import named

Client = TestClient[ASGIApp]
Headers = dict[str, str]
FIND = "/api/admin/audit-logs"
INSERT = """
INSERT INTO audit_logs (event_type, action, created_at)
SELECT 'made', 'number ' || number, '2026-03-01'::timestamptz + number / %(together)s * interval '1 hour'
FROM generate_series(1, %(rows)s) number
"""


def pages(client: Client, headers: Headers, address: str) -> list[list[str]]:
    """The ids on each page, starting at that address."""
    found: list[list[str]] = []
    following: str | None = address
    while following is not None:
        answer = client.get(following, headers=headers)
        assert answer.status_code == 200, answer.text
        found.append([row["id"] for row in answer.json()["data"]])
        following = answer.json()["next"]
    return found


def test_cursors_reach_every_event_once_however_many_have_the_same_time(
    client: Client, admin: Headers, connection: Connection
) -> None:
    connection.execute(INSERT, {"rows": 500, "together": 100})
    expected = connection.execute(
        "SELECT id::text FROM audit_logs ORDER BY created_at DESC, id DESC"
    ).fetchall()

    for limit in (7, 100, 250, 500):
        walked = pages(client, admin, f"{FIND}?eventType=made&limit={limit}")
        assert [event for page in walked for event in page] == [event for (event,) in expected]
        assert len(walked) == -(-500 // limit)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(
    rows=st.integers(0, 120),
    together=st.integers(1, 60),
    limit=st.integers(1, 50),
    offset=st.integers(0, 20),
)
def test_following_pages_meets_each_event_once_while_others_are_stored(
    client: Client,
    admin: Headers,
    connection: Connection,
    url: str,
    rows: int,
    together: int,
    limit: int,
    offset: int,
) -> None:
    connection.execute("DELETE FROM audit_logs")
    connection.execute(INSERT, {"rows": rows, "together": together})
    at_start = connection.execute(
        "SELECT id::text FROM audit_logs WHERE event_type = 'made' ORDER BY created_at DESC, id DESC"
    ).fetchall()
    stop = threading.Event()

    def write() -> None:
        with connect(url, "writer") as writer:
            while not stop.is_set():
                # Before, between and after the existing events, and at exactly their times.
                writer.execute(
                    "INSERT INTO audit_logs (event_type, created_at) SELECT 'made',"
                    " '2026-02-28'::timestamptz + random() * 5 * interval '1 day' FROM generate_series(1, 3)"
                    " UNION ALL SELECT 'made', '2026-03-01'::timestamptz"
                    " + floor(random() * 120 / %s) * interval '1 hour'",
                    [together],
                )
                time.sleep(0.005)

    # The first page is read before any write; otherwise the offset would mean other events.
    first = client.get(f"{FIND}?eventType=made&limit={limit}&offset={offset}", headers=admin).json()
    seen = [row["id"] for row in first["data"]]
    writer = threading.Thread(target=write)
    writer.start()
    try:
        while first["next"] is not None:
            first = client.get(first["next"], headers=admin).json()
            seen += [row["id"] for row in first["data"]]
            assert len(seen) == len(set(seen))
    finally:
        stop.set()
        writer.join()

    expected = [event for (event,) in at_start][offset:]
    assert [event for event in seen if event in set(expected)] == expected


def test_the_link_header_names_the_next_page_too(
    client: Client, admin: Headers, connection: Connection
) -> None:
    connection.execute(INSERT, {"rows": 3, "together": 1})

    answer = client.get(f"{FIND}?eventType=made&limit=2", headers=admin)
    last = client.get(answer.json()["next"], headers=admin)

    assert answer.headers["link"] == f'<{answer.json()["next"]}>; rel="next"'
    assert last.json()["next"] is None
    assert "link" not in last.headers


def test_a_relative_start_is_fixed_from_page_to_page(
    client: Client, admin: Headers, connection: Connection
) -> None:
    connection.execute(
        "INSERT INTO audit_logs (event_type, created_at)"
        " VALUES ('made', now() - interval '1.5 s'), ('made', now())"
    )

    first = client.get(f"{FIND}?eventType=made&startDate=-2s&limit=1", headers=admin).json()
    assert parse_qs(urlsplit(first["next"]).query)["startDate"] == ["-2s"]
    time.sleep(1)
    second = client.get(first["next"], headers=admin).json()

    assert (first["count"], second["count"]) == (1, 1)


def test_a_cursor_belongs_to_its_filters(client: Client, admin: Headers, connection: Connection) -> None:
    connection.execute(INSERT, {"rows": 3, "together": 1})
    following = client.get(f"{FIND}?eventType=made&limit=1", headers=admin).json()["next"]
    (cursor,) = parse_qs(urlsplit(following).query)["cursor"]

    same = client.get(FIND, params={"limit": 2, "cursor": cursor, "eventType": "made"}, headers=admin)
    other = client.get(FIND, params={"eventType": "other", "cursor": cursor}, headers=admin)
    forged = client.get(
        FIND, params={"eventType": "made", "cursor": cursor[:30] + cursor[31:] + cursor[30]}, headers=admin
    )

    assert same.json()["count"] == 2
    assert other.status_code == forged.status_code == 400
    assert "other filters" in other.json()["errors"][0]["reason"]
    assert "not a cursor of this API" in forged.json()["errors"][0]["reason"]


def test_a_large_offset_is_refused_and_the_cursor_is_named(client: Client, admin: Headers) -> None:
    assert client.get(f"{FIND}?offset=10000", headers=admin).status_code == 200
    answer = client.get(f"{FIND}?offset=10001", headers=admin)

    assert answer.status_code == 400
    assert "next" in answer.json()["errors"][0]["reason"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("ip=192.0.2.7", {"v4"}), ("ip=192.0.2.0/24", {"v4"}), ("ip=192.0.2.9/24", {"v4"}),
        ("ip=2001:db8::/32", {"v6"}), ("ip=10.0.0.0/8", set()), ("actor=alice@example.com", {"v4"}),
        ("q=errorCode:AccessDenied", {"v4"}), ("q=who.type:Root", {"v6"}),
        ('q=message:"not allowed"', {"v4"}),
        ("q=count:5", {"v4", "v6"}), ('q=count:"5"', {"v6"}), ("q=list[].name:b", {"v6"}),
        ("q=who.type:Root count:5", {"v6"}), ("q=who.type:Root errorCode:AccessDenied", set()),
        ("q=gone:null", {"v4"}), ("q=ok:true", {"v4"}), ('q="a.b":c', {"v6"}),
    ],
)  # fmt: skip
def test_addresses_callers_and_details_are_searched(
    client: Client, admin: Headers, connection: Connection, query: str, found: set[str]
) -> None:
    connection.execute(
        "INSERT INTO audit_logs (event_type, ip_address, created_by, details) VALUES"
        """ ('v4', '192.0.2.7', 'alice@example.com',
             '{"errorCode": "AccessDenied", "message": "not allowed", "count": 5, "gone": null, "ok": true}'),
            ('v6', '2001:db8::7', 'bob',
             '{"who": {"type": "Root"}, "count": "5", "list": [{"name": "a"}, {"name": "b"}], "a.b": "c"}')"""
    )
    name, _, value = query.partition("=")

    answer = client.get(FIND, params={name: value}, headers=admin).json()

    assert {row["event_type"] for row in answer["data"]} - {"audit_access"} == found


@pytest.mark.parametrize(
    ("query", "field", "reason"),
    [
        ("q=user", "q", "character 5"), ("q=a:1 b", "q", "character 6"), ("q=a:%22x", "q", "character 3"),
        ("q=", "q", "character 1"), ("ip=300.1.1.1", "ip", "network"), ("ip=fe80::1%25eth0", "ip", "network"),
        ("status=failure&status=success", "status", "more than once"),
        ("user=x", "user", "does not exist"),
        ("limit=0", "limit", ">= 1"), ("cursor=x", "cursor", "not a cursor of this API"),
        ("count=all", "count", "'all'"), ("startDate=-7x", "startDate", "-7d"),
        ("startDate=-999999999w", "startDate", "not a valid time"),
        ("cursor=x&offset=1", "offset", "with cursor"),
    ],
)  # fmt: skip
def test_an_invalid_parameter_is_named_with_what_would_be_valid(
    client: Client, admin: Headers, query: str, field: str, reason: str
) -> None:
    answer = client.get(f"{FIND}?{query}", headers=admin)

    assert answer.status_code == 400, answer.text
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert reason in error["reason"]


def test_times_are_relative_or_have_zones(client: Client, admin: Headers, connection: Connection) -> None:
    now = datetime.now(UTC)
    connection.execute("INSERT INTO audit_logs (event_type, created_at) VALUES ('made', %s)", [now])
    there = (now + timedelta(hours=2)).replace(tzinfo=None).isoformat() + "+02:00"

    def count(**period: str) -> int:
        answer = client.get(FIND, params={"eventType": "made", **period}, headers=admin)
        return int(answer.json()["count"])

    assert count(startDate="-1m") == count(startDate="-7d", endDate="now") == 1
    assert count(startDate=there) == count(endDate=there) == 1
    assert count(endDate="-1m") == 0


def test_the_total_is_counted_only_when_it_is_asked_for(
    client: Client, admin: Headers, connection: Connection
) -> None:
    connection.execute(INSERT, {"rows": 30, "together": 1})

    assert "total" not in client.get(f"{FIND}?eventType=made&limit=2", headers=admin).json()
    answer = client.get(f"{FIND}?eventType=made&limit=2&count=exact", headers=admin).json()

    assert (answer["count"], answer["total"]) == (2, 30)


def test_a_total_that_takes_too_long_is_unknown_and_says_why(
    client: Client, admin: Headers, connection: Connection
) -> None:
    connection.execute(INSERT, {"rows": 3000, "together": 1})
    # Reading each row takes time, as on a slow disk.
    connection.execute(
        "CREATE FUNCTION slow() RETURNS bool LANGUAGE plpgsql COST 1000 AS"
        " 'BEGIN PERFORM pg_sleep(0.002); RETURN true; END'"
    )
    connection.execute("ALTER TABLE audit_logs ENABLE ROW LEVEL SECURITY")
    connection.execute("CREATE POLICY slowly ON audit_logs TO ops_reader USING (slow())")
    connection.execute("CREATE POLICY freely ON audit_logs TO ops_writer USING (true)")
    connection.execute("ANALYZE audit_logs")

    answer = client.get(f"{FIND}?limit=1&eventType=made&startDate=2026-03-01&count=exact", headers=admin)

    assert answer.json()["total"] is None
    assert "2 s" in answer.json()["totalReason"]


@pytest.mark.parametrize("end", ["0001-01-01", "0001-01-09T23:59:59Z", "9999-12-31T23:59:59.999999Z"])
def test_a_page_may_end_at_the_first_and_the_last_possible_time(
    client: Client, admin: Headers, connection: Connection, end: str
) -> None:
    connection.execute(INSERT, {"rows": 3, "together": 1})

    found = client.get(f"{FIND}?eventType=made&endDate={end}", headers=admin)

    assert found.json()["count"] == (3 if end.startswith("9999") else 0)


def test_a_page_reads_only_the_partitions_it_needs(connection: Connection) -> None:
    today = datetime.now(UTC).date()
    premake_days(connection, named(connection, "public.audit_logs"), today - timedelta(days=30), today)
    connection.execute(
        "INSERT INTO audit_logs (event_type, created_at)"
        " SELECT 'made', now() - number * interval '10 min' FROM generate_series(1, 4000) number"
    )
    connection.execute("ANALYZE audit_logs")

    first = next(pages_of_events.page_steps(filters.Filters(event_type="made"), datetime.now(UTC)))
    connection.execute("SET plan_cache_mode = force_generic_plan")
    with connection.transaction():
        connection.execute(first.statement, first.values, prepare=True)
        opened = connection.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation"
            " WHERE pid = pg_backend_pid() AND relispartition AND relkind = 'r'"
        ).fetchone()

    assert first.keep_plan
    assert opened in {(3,), (4,)}, "yesterday, today, the default; tomorrow where midnight has just passed"


def test_each_read_is_recorded_with_its_filters_and_number_of_rows(
    client: Client, admin: Headers, connection: Connection, key: Callable[..., Headers]
) -> None:
    connection.execute(INSERT, {"rows": 3, "together": 1})
    unknown = uuid4()

    client.get(f"{FIND}?eventType=made&limit=2", headers=admin)
    client.get(f"{FIND}/{unknown}", headers=admin)

    noted = connection.execute(
        "SELECT action, details -> 'filters', details -> 'rows' FROM audit_logs"
        " WHERE event_type = 'audit_access' ORDER BY created_at"
    ).fetchall()
    assert noted == [("audit.read", {"eventType": "made"}, 2), ("audit.read", {"id": str(unknown)}, 0)]
