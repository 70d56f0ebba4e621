"""`opsctl forward` delivers every event at least once, in the order in which it became visible."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from ops_pipeline.audit.person import person
from ops_pipeline.forward import forwarder
from ops_pipeline.forward.batch import MOST_EVENTS, next_batch
from ops_pipeline.forward.position import targets
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.integration.conftest import Done
from tests.integration.forward.conftest import MAKE
from tests.integration.forward.siem import Siem, verified

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Once = Callable[..., Done]
Make = Callable[[int, int], None]


def _numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


def test_events_arrive_once_in_order_and_in_the_shape_of_the_api(
    once: Once, siem: Siem, make: Make, connection: Connection
) -> None:
    make(1, 2)
    assert once().code == 0
    assert siem.actions() == []  # a new target begins with events from now on

    make(3, 7)
    first = once()
    make(8, 9)
    second = once()

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert siem.actions() == _numbers(3, 9)
    stored = scalar(connection, "SELECT row_to_json(a)::text FROM audit_logs a WHERE action = '3'")
    assert siem.events()[0] == json.loads(stored)
    assert set(siem.events()[0]) >= {"received_at", "key_id", "peer_address", "subject_id", "origin"}
    assert {request.headers["content-type"] for request in siem.requests} == {"application/x-ndjson"}


def test_an_event_that_a_slow_transaction_commits_late_is_not_missed(
    once: Once, siem: Siem, make: Make, url: str
) -> None:
    once()
    with connect(url, "slow") as slow, slow.transaction():
        slow.execute(MAKE, [1, 1])
        make(2, 2)
        once()
        assert siem.actions() == ["2"]
    once()

    assert siem.actions() == ["2", "1"]


def test_a_long_backlog_arrives_in_batches_of_limited_size(
    once: Once, siem: Siem, connection: Connection
) -> None:
    once()
    connection.execute(MAKE, [1, 2500])
    connection.execute(
        "INSERT INTO audit_logs (event_type, action, details)"
        " SELECT 'made', n::text, jsonb_build_object('much', repeat('x', 400000))"
        " FROM generate_series(2501, 2507) n"
    )
    once()

    assert siem.actions() == _numbers(1, 2507)
    assert max(len(request.events) for request in siem.requests) == MOST_EVENTS
    assert max(len(request.body) for request in siem.requests) <= forwarder.MOST_BYTES
    assert [len(request.events) for request in siem.requests[-3:]] == [2, 2, 1]


def test_the_order_holds_where_transaction_ids_get_another_digit(
    once: Once, siem: Siem, make: Make, connection: Connection
) -> None:
    once()
    now = int(scalar(connection, "SELECT pg_current_xact_id()::text"))
    connection.execute(
        "DO $$ BEGIN FOR n IN 1..%s LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
        % (10 ** len(str(now)) - now - 5)
    )
    make(1, 20)
    once()

    assert siem.actions() == _numbers(1, 20)


def test_a_deleted_event_is_passed_over_and_said(once: Once, siem: Siem, connection: Connection) -> None:
    once()
    connection.execute(MAKE, [1, 5])
    connection.execute("DELETE FROM audit_logs WHERE action IN ('2', '5')")

    done = once()

    assert siem.actions() == ["1", "3", "4"]
    assert "events were deleted before they could be forwarded" in done.err


def test_since_sends_the_log_first_and_counts_only_for_a_new_target(
    once: Once, siem: Siem, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarder, "next_batch", lambda at, place, _, size: next_batch(at, place, 2, size))
    insert = (
        "INSERT INTO audit_logs (event_type, action, created_at, received_at) VALUES ('made', %s, %s, %s)"
    )
    for action, created_at, received_at in (
        ("too early", "2026-01-01", "2026-01-02"),
        ("imported", "2020-01-01", "2026-02-01"),
        ("before it was recorded", "2026-02-02", None),
        ("endless", "infinity", "2026-02-02"),
        ("a", "2026-02-03", "2026-02-03"),
        ("b", "2026-02-04", "2026-02-04"),
    ):
        connection.execute(insert, [action, created_at, received_at])

    assert once("--since", "2026-01-31").code == 0
    assert siem.actions() == ["imported", "before it was recorded", "a", "b", "endless"]
    (target,) = targets(connection)
    assert target.since is None

    once("--since", "2020-01-01")
    assert len(siem.events()) == 5


def test_each_request_is_signed_and_has_the_token(
    once: Once, siem: Siem, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_FORWARD_SECRET", SECRET)
    monkeypatch.setenv("OPS_FORWARD_HEADER", "Authorization: Splunk s3cret-token")
    once()
    make(1, 3)
    answers = iter([503])
    siem.answer = lambda *_: (next(answers, 200), {})
    once()

    refused, *accepted = siem.requests
    assert all(verified(SECRET, request) for request in siem.requests)
    assert not verified("whsec_" + "A" * 32, refused)
    assert refused.headers["webhook-id"] == accepted[0].headers["webhook-id"]
    assert abs(int(refused.headers["webhook-timestamp"]) - time.time()) < 300
    assert {request.headers["authorization"] for request in siem.requests} == {"Splunk s3cret-token"}


def test_without_a_secret_no_request_claims_to_be_signed(once: Once, siem: Siem, make: Make) -> None:
    once()
    make(1, 1)
    once()

    assert all("webhook-signature" not in request.headers for request in siem.requests)


@pytest.mark.parametrize("in_seconds", [True, False])
def test_a_busy_receiver_gets_the_batch_again_after_the_time_that_it_asked_for(
    once: Once, siem: Siem, make: Make, monkeypatch: pytest.MonkeyPatch, in_seconds: bool
) -> None:
    waits: list[float] = []

    def wait(_: object, seconds: float) -> bool:
        waits.append(seconds)
        return False

    monkeypatch.setattr("ops_pipeline.forward.stop.Stop.wait", wait)
    once()
    make(1, 2)
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=31), usegmt=True)
    answers = iter([(429, {"Retry-After": "30" if in_seconds else at}), (503, {}), (500, {})])
    siem.answer = lambda *_: next(answers, (200, {}))

    done = once()

    assert done.code == 0, done.err
    assert [request.status for request in siem.requests][:4] == [429, 503, 500, 200]
    assert len({request.body for request in siem.requests[:4]}) == 1
    assert siem.actions() == ["1", "2"]
    assert 20 < waits[0] < 60
    assert waits[1] < 1
    assert "waiting for the receiver" in done.err
    assert "receiver answers again" in done.err


def test_once_gives_up_after_a_minute_and_the_next_start_sends_it(once: Once, siem: Siem, make: Make) -> None:
    once()
    make(1, 2)
    siem.answer = lambda *_: (503, {"Retry-After": "61"})

    done = once()
    siem.answer = lambda *_: (200, {})
    again = once()

    assert (done.code, again.code) == (1, 0)
    assert "answered 503" in done.err
    assert siem.actions() == ["1", "2"]


@pytest.mark.parametrize(
    ("status", "advice"),
    [(302, "redirects are not followed"), (401, "OPS_FORWARD_HEADER"), (404, "will not accept")],
)
def test_a_wrong_address_or_token_ends_it_and_nothing_is_skipped(
    once: Once, siem: Siem, make: Make, connection: Connection, status: int, advice: str
) -> None:
    once()
    make(1, 2)
    siem.answer = lambda *_: (status, {"Location": "https://elsewhere.example.com/"})

    done = once()

    assert done.code == 1
    assert f"127.0.0.1 answered {status}" in done.err
    assert advice in done.err
    assert len(siem.requests) == 1
    siem.answer = lambda *_: (200, {})
    once()
    assert siem.actions() == ["1", "2"]
    reasons = connection.execute(
        "SELECT details->>'reason' FROM audit_logs WHERE action = 'forward.stopped' AND status = 'failure'"
    ).fetchall()
    assert len(reasons) == 1


def test_a_batch_that_is_too_large_is_sent_in_smaller_ones(
    once: Once, siem: Siem, connection: Connection
) -> None:
    once()
    connection.execute(MAKE, [1, 1000])
    siem.answer = lambda _, body: (200 if len(body) < 20_000 else 413, {})

    done = once()

    assert done.code == 0, done.err
    assert siem.actions() == _numbers(1, 1000)
    refused = [request for request in siem.requests if request.status == 413]
    assert len(refused) < 10, "the limit is not found out again for each batch"


def test_one_refused_event_is_named_and_left_out_only_when_asked_to(
    once: Once, siem: Siem, make: Make, connection: Connection
) -> None:
    once()
    make(1, 9)
    siem.answer = lambda _, body: (400 if b'"action":"6"' in body else 200, {})
    event_id = scalar(connection, "SELECT id::text FROM audit_logs WHERE action = '6'")

    done = once()

    assert done.code == 1
    assert f"to event {event_id} alone" in done.err
    assert siem.actions() == _numbers(1, 5)
    assert once("--skip", event_id).code == 0
    assert siem.actions() == ["1", "2", "3", "4", "5", "7", "8", "9"]
    skipped = "SELECT details->>'event_id' FROM audit_logs WHERE action = 'forward.skipped'"
    assert connection.execute(skipped).fetchall() == [(event_id,)]


def test_no_output_and_no_event_has_the_token_or_the_address(
    once: Once, siem: Siem, make: Make, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_FORWARD_SECRET", SECRET)
    monkeypatch.setenv("OPS_FORWARD_HEADER", "Authorization: Bearer t0ken-in-header")
    once()
    make(1, 1)
    said = []
    for answered in (b"key=t0ken-in-query", b"/in/t0ken-in-path", b"bearer T0KEN-in-header", SECRET.encode()):
        siem.said = answered
        siem.answer = lambda *_: (403, {"Location": siem.url})
        said.append(once())
    siem.said = b"no such index"
    said.append(once())

    everything = "".join(done.out + done.err for done in said)
    everything += str(connection.execute("SELECT details::text FROM audit_logs").fetchall())
    assert "t0ken" not in everything.lower()
    assert SECRET not in everything
    assert "no such index" in everything


def test_an_untrusted_certificate_gets_no_event(
    once: Once, siem: Siem, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    once()
    make(1, 1)
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setattr(forwarder, "GIVE_UP_SECONDS", 0.0)

    done = once()

    assert done.code == 1
    assert "CERTIFICATE_VERIFY_FAILED" in done.err
    assert siem.requests == []


def test_the_audit_log_says_to_which_host_events_went_before_the_first_one_is_sent(
    once: Once, siem: Siem, make: Make, connection: Connection
) -> None:
    once()
    make(1, 3)
    recorded: list[list[Any]] = []
    started = (
        "SELECT details->>'target', details->>'host', created_by FROM audit_logs"
        " WHERE action = 'forward.started'"
    )

    def answer(*_: object) -> tuple[int, dict[str, str]]:
        recorded.append(connection.execute(started).fetchall())
        return 200, {}

    siem.answer = answer
    once()

    ((target, host, by),) = recorded[0]
    assert (target, host, by) == ("siem", "127.0.0.1", person())
    stopped = "SELECT details->>'events' FROM audit_logs WHERE action = 'forward.stopped'"
    assert connection.execute(stopped).fetchall() == [("3",)]
