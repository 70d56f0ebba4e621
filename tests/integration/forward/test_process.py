"""The process of `opsctl forward`: one for each target, stopped by signals, killed and started again."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from ops_pipeline.forward.position import targets
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.eventually import eventually
from tests.integration.conftest import Done
from tests.integration.forward.conftest import MAKE
from tests.integration.forward.siem import Siem

Started = Callable[..., "subprocess.Popen[str]"]
ACTIONS = "SELECT array_agg(action) FROM audit_logs WHERE event_type = 'made'"


def test_a_second_process_of_the_same_name_is_refused_and_names_the_first(
    started: Started, once: Callable[..., Done], siem: Siem, connection: Connection
) -> None:
    started()
    eventually(lambda: targets(connection))

    second = once()
    forgotten = once("--forget", "siem")

    for done in (second, forgotten):
        assert done.code == 1
        assert "siem: another process forwards to it: opsctl forward (pid" in done.err


def test_sigterm_lets_the_batch_in_flight_end_and_keeps_its_position(
    started: Started, siem: Siem, connection: Connection, tmp_path: Path
) -> None:
    process = started()
    eventually(lambda: targets(connection))
    arrived, go_on = threading.Event(), threading.Event()

    def answer(*_: object) -> tuple[int, dict[str, str]]:
        arrived.set()
        go_on.wait(30)
        return 200, {}

    siem.answer = answer
    connection.execute(MAKE, [1, 1])
    assert arrived.wait(60)
    process.send_signal(signal.SIGTERM)
    go_on.set()

    assert process.wait(timeout=60) == 0, (tmp_path / "forward.log").read_text()
    assert siem.actions() == ["1"]
    assert targets(connection)[0].events == 1
    assert scalar(connection, "SELECT count(*) FROM audit_logs WHERE action = 'forward.stopped'") == 1


def test_a_receiver_that_does_not_answer_delays_the_end_by_seconds_only_and_nothing_is_skipped(
    started: Started, siem: Siem, connection: Connection, once: Callable[..., Done]
) -> None:
    process = started()
    eventually(lambda: targets(connection))
    arrived, go_on = threading.Event(), threading.Event()

    def answer(*_: object) -> tuple[int, dict[str, str]]:
        arrived.set()
        go_on.wait(60)
        return 500, {}

    siem.answer = answer
    connection.execute(MAKE, [1, 1])
    assert arrived.wait(60)
    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=25) == 130
    go_on.set()
    siem.answer = lambda *_: (200, {})
    assert once().code == 0
    assert siem.actions() == ["1"]


def test_a_stop_while_it_waits_for_the_receiver_is_immediate(
    started: Started, siem: Siem, connection: Connection, tmp_path: Path
) -> None:
    process = started()
    eventually(lambda: targets(connection))
    siem.answer = lambda *_: (503, {"Retry-After": "3000"})
    connection.execute(MAKE, [1, 1])
    eventually(lambda: "waiting for the receiver" in (tmp_path / "forward.log").read_text())

    process.send_signal(signal.SIGINT)

    assert process.wait(timeout=60) == 0


def test_it_goes_on_over_a_new_connection_when_its_session_was_ended(
    started: Started, siem: Siem, connection: Connection, tmp_path: Path
) -> None:
    started()
    eventually(lambda: targets(connection))
    connection.execute(MAKE, [1, 1])
    eventually(lambda: siem.actions() == ["1"])

    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'opsctl forward' AND datname = current_database()"
    )
    connection.execute(MAKE, [2, 2])

    eventually(lambda: siem.actions()[-1:] == ["2"], otherwise=(tmp_path / "forward.log").read_text)
    assert "waiting for the database" in (tmp_path / "forward.log").read_text()


def test_the_process_of_an_idle_target_keeps_it_up_to_date(
    started: Started, once: Callable[..., Done], connection: Connection
) -> None:
    once()
    connection.execute(
        "UPDATE ops.forward_targets SET seen_at = now() - interval '2 hours',"
        " visible_at = now() - interval '2 hours'"
    )
    assert targets(connection)[0].is_late
    process = started()
    eventually(lambda: targets(connection)[0].is_running)
    process.terminate()

    assert process.wait(timeout=60) == 0
    assert not targets(connection)[0].is_late


def test_killed_again_and_again_beside_writers_it_misses_no_event(
    started: Started, siem: Siem, connection: Connection, url: str, tmp_path: Path
) -> None:
    _kill_beside_writers(started, siem, connection, url, kills=3, writers=3)


@pytest.mark.prove
def test_killed_many_times_beside_many_writers_it_misses_no_event(
    started: Started, siem: Siem, connection: Connection, url: str
) -> None:
    _kill_beside_writers(started, siem, connection, url, kills=20, writers=4)


def _kill_beside_writers(
    started: Started, siem: Siem, connection: Connection, url: str, *, kills: int, writers: int
) -> None:
    """Writers commit in any order, some late, some not at all; the receiver is at times away, and slow."""
    process = started()
    eventually(lambda: targets(connection))
    answers = 0

    def answer(*_: object) -> tuple[int, dict[str, str]]:
        nonlocal answers
        answers += 1
        time.sleep(0.01)
        return (503 if answers % 7 == 0 else 200), {}

    siem.answer = answer
    end = threading.Event()
    with ExitStack() as stack:
        stack.callback(end.set)
        threads = [
            threading.Thread(target=_write, args=(url, writer, end), daemon=True) for writer in range(writers)
        ]
        for thread in threads:
            thread.start()
        for _ in range(kills):
            seen = len(siem.accepted())
            eventually(lambda seen=seen: len(siem.accepted()) >= seen + 2)  # type: ignore[misc]  # a default argument of a lambda
            process.kill()
            process.wait(timeout=30)
            eventually(lambda: not targets(connection)[0].is_running)
            process = started()
    for thread in threads:
        thread.join(timeout=60)

    stored = set(scalar(connection, ACTIONS))
    assert len(stored) > 10
    eventually(lambda: set(siem.actions()) >= stored, seconds=120)
    assert set(siem.actions()) == stored
    ids = {event["id"]: event["action"] for event in siem.events()}
    assert len(ids) == len(stored), "an event that was sent again has its id"
    for writer in range(writers):
        first_seen = list(dict.fromkeys(name for name in siem.actions() if name.startswith(f"{writer}/now/")))
        assert first_seen == sorted(first_seen, key=lambda name: int(name.rpartition("/")[2]))


def _write(url: str, writer: int, end: threading.Event) -> None:
    insert = "INSERT INTO audit_logs (event_type, action) VALUES ('made', %s)"
    with connect(url, "late writer") as late, connect(url, "writer") as now:
        number = 0
        while not end.is_set():
            with late.transaction(force_rollback=number % 5 == 0):
                late.execute(insert, [f"{writer}/late/{number}"])
                for _ in range(3):
                    number += 1
                    now.execute(insert, [f"{writer}/now/{number}"])
                    time.sleep(0.01)


def test_a_login_with_ops_forwarder_is_enough_and_others_learn_which_grant_is_missing(
    once: Callable[..., Done],
    siem: Siem,
    connection: Connection,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"forwarder_{id(siem)}"
    connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x' IN ROLE ops_reader")
    try:
        monkeypatch.setenv("OPS_DATABASE_URL", _as(url, name))
        refused = once()
        connection.execute(f"REVOKE ops_reader FROM {name}; GRANT ops_forwarder TO {name}")
        allowed = once()
        connection.execute(MAKE, [1, 1])
        sent = once()
    finally:
        connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")

    assert refused.code == 1
    assert f"To allow it: GRANT ops_forwarder TO {name}" in refused.err
    assert (allowed.code, sent.code) == (0, 0), allowed.err + sent.err
    assert siem.actions() == ["1"]


def _as(url: str, user: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{user}:x@{rest.rpartition('@')[2]}"
