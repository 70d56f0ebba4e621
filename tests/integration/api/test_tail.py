"""The live tail shows each event once, in commit order, however late its commit."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from ops_pipeline.postgres.connection import Connection, connect
from tests.integration.api.serving import serving

Headers = dict[str, str]
STREAM = "/api/admin/audit-logs/stream"
INSERT = "INSERT INTO audit_logs (event_type, action, created_at) VALUES (%s, %s, %s::timestamptz)"


@dataclass
class Stream:
    """The messages of a stream."""

    lines: Iterator[str]
    last_id: str = ""

    def next(self) -> tuple[str, dict[str, Any]]:
        """The kind and the content of the next message that has data."""
        fields: dict[str, str] = {}
        deadline = time.monotonic() + 20
        for line in self.lines:
            assert time.monotonic() < deadline, "nothing but heartbeats"
            name, _, value = line.partition(": ")
            fields[name] = value
            if not line:
                self.last_id = fields.get("id", self.last_id)
                if "data" in fields:
                    return fields["event"], json.loads(fields["data"])
                fields = {}
        raise EOFError

    def actions(self, count: int) -> list[str]:
        return [self.next()[1]["action"] for _ in range(count)]


class Tail:
    """Opens streams of one API."""

    def __init__(self, base: str, headers: Headers) -> None:
        self._base = base
        self._headers = headers
        self._opened: list[httpx.Client] = []

    def open(self, query: str = "eventType=made", last_id: str | None = None) -> Stream:
        client = httpx.Client(timeout=30)
        self._opened.append(client)
        headers = self._headers | ({"Last-Event-ID": last_id} if last_id else {})
        answer = client.send(
            client.build_request("GET", f"{self._base}{STREAM}?{query}", headers=headers), stream=True
        )
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = Stream(answer.iter_lines())
        assert next(stream.lines) == "retry: 1000"
        return stream

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()


@pytest.fixture
def base(url: str) -> Iterator[str]:
    with serving(url) as address:
        yield address


@pytest.fixture
def tail(base: str, admin: Headers) -> Iterator[Tail]:
    made = Tail(base, admin)
    yield made
    made.close()


def test_an_event_that_a_slow_transaction_commits_late_is_not_missed(
    url: str, tail: Tail, connection: Connection
) -> None:
    with connect(url, "slow") as slow, slow.transaction():
        slow.execute(INSERT, ["made", "slow, before", "2026-03-01"])
        stream = tail.open()
        slow.execute(INSERT, ["made", "slow, after", "2026-03-02"])
        connection.execute(INSERT, ["made", "quick", "2026-03-03"])
        assert stream.actions(1) == ["quick"]

    assert stream.actions(2) == ["slow, before", "slow, after"]
    connection.execute(INSERT, ["made", "last", "2020-01-01"])
    assert stream.actions(1) == ["last"]


def test_a_stream_continues_after_any_event_without_missing_or_repeating_one(
    url: str, tail: Tail, connection: Connection
) -> None:
    stream = tail.open()
    with connect(url, "slow") as slow, slow.transaction():
        slow.execute(INSERT, ["made", "slow", "2026-03-01"])
        with connection.transaction():
            for number in range(5):
                connection.execute(INSERT, ["made", str(number), "2026-03-02"])
        assert stream.actions(3) == ["0", "1", "2"]
        middle = stream.last_id
        assert stream.actions(2) == ["3", "4"]
        end = stream.last_id
    tail.close()

    assert tail.open(last_id=middle).actions(3) == ["3", "4", "slow"]
    assert tail.open(last_id=end).actions(1) == ["slow"]


def test_only_events_that_match_are_shown(tail: Tail, connection: Connection) -> None:
    stream = tail.open("q=a.b:5&eventType=made")

    connection.execute(
        "INSERT INTO audit_logs (event_type, action, details)"
        " SELECT 'made', number::text, jsonb_build_object('a', jsonb_build_object('b', number))"
        " FROM generate_series(1, 3000) number"
    )
    connection.execute(
        "INSERT INTO audit_logs (event_type, action, details)"
        """ VALUES ('made', 'also', '{"a": {"b": "5"}}')"""
    )

    assert stream.actions(2) == ["5", "also"]


def test_an_event_that_was_rolled_back_or_only_moved_is_not_shown(tail: Tail, connection: Connection) -> None:
    stream = tail.open()

    with connection.transaction(force_rollback=True):
        connection.execute(INSERT, ["made", "undone", "2026-03-01"])
    connection.execute(INSERT, ["made", "kept", "2026-03-01"])
    connection.execute("UPDATE audit_logs SET status = 'success'")
    connection.execute(INSERT, ["made", "last", "2026-03-01"])

    assert stream.actions(2) == ["kept", "last"]


def test_a_stream_says_that_it_ends_when_the_server_shuts_down(url: str, admin: Headers) -> None:
    with serving(url) as base:
        tail = Tail(base, admin)
        stream = tail.open()
    kind, data = stream.next()
    tail.close()

    assert kind == "end"
    assert "Last-Event-ID" in data["reason"]


def test_a_forged_position_is_refused(base: str, admin: Headers) -> None:
    for made_up in ("x", "AAAA" * 20):
        answer = httpx.get(f"{base}{STREAM}", headers=admin | {"Last-Event-ID": made_up})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "Last-Event-ID"


def test_an_events_position_in_the_tail_is_kept_for_a_day(connection: Connection) -> None:
    for age in ("2 days", "25 hours", "23 hours"):
        connection.execute(INSERT, ["made", "old", "2026-03-01"])
        connection.execute(
            "UPDATE ops.audit_arrivals SET arrived_at = now() - %s::interval"
            " WHERE place = (SELECT max(place) FROM ops.audit_arrivals)",
            [age],
        )
    connection.execute(INSERT, ["made", "new", "2026-03-01"])

    ages = connection.execute(
        "SELECT now() - arrived_at > '24 hours' FROM ops.audit_arrivals ORDER BY place"
    ).fetchall()
    assert ages == [(False,), (False,)]
