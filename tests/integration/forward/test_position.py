"""A position that can no longer be used is never passed over in silence; arrivals are kept for a target."""

from collections.abc import Callable

import msgspec
import pytest

from ops_pipeline.forward.position import targets
from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.integration.conftest import Done
from tests.integration.forward.conftest import MAKE
from tests.integration.forward.siem import Siem

Once = Callable[..., Done]
Make = Callable[[int, int], None]
AGE = "UPDATE ops.audit_arrivals SET arrived_at = arrived_at - %s::interval"
ARRIVALS = "SELECT count(*) FROM ops.audit_arrivals"


def _age(connection: Connection, age: str) -> None:
    """Time passes for what is stored."""
    connection.execute(AGE, [age])
    connection.execute(
        "UPDATE ops.forward_targets SET seen_at = seen_at - %(age)s::interval,"
        " visible_at = visible_at - %(age)s::interval",
        {"age": age},
    )
    connection.execute("UPDATE audit_logs SET received_at = received_at - %s::interval", [age])


def test_arrivals_are_kept_until_a_target_has_them(
    once: Once, siem: Siem, make: Make, connection: Connection
) -> None:
    once()
    make(1, 3)
    _age(connection, "3 days")
    make(4, 20)  # each of which would delete four expired arrivals

    assert once().code == 0
    assert siem.actions() == [str(number) for number in range(1, 21)]
    _age(connection, "2 days")
    make(21, 40)
    once()
    make(41, 60)
    assert scalar(connection, f"{ARRIVALS} WHERE arrived_at < now() - interval '1 day'") == 0


def test_the_arrival_of_a_transaction_that_was_open_for_days_is_kept_for_a_target(
    once: Once, siem: Siem, make: Make, connection: Connection, url: str
) -> None:
    once()
    with connect(url, "slow") as slow, slow.transaction():
        slow.execute(MAKE, [1, 1])
        slow.execute(AGE, ["3 days"])
        make(2, 2)
        once()
    make(3, 20)
    once()

    assert sorted(siem.actions(), key=int) == [str(number) for number in range(1, 21)]


def test_arrivals_are_kept_for_an_abandoned_target_for_seven_days_only(
    once: Once, make: Make, connection: Connection
) -> None:
    once()
    make(1, 3)
    _age(connection, "8 days")
    make(4, 9)

    assert scalar(connection, ARRIVALS) == 6


def test_a_position_older_than_the_arrivals_is_refused_and_since_closes_the_gap(
    once: Once, siem: Siem, make: Make, connection: Connection
) -> None:
    once()
    make(1, 2)
    _age(connection, "8 days")
    make(3, 8)

    refused = once()

    assert refused.code == 1
    assert "arrivals are kept for 7 days, so events may have been missed" in refused.err
    assert siem.events() == []
    since = refused.err.partition("--since ")[2].partition(";")[0]
    assert once("--since", "-7d").code == 1, "a time after the position would leave a gap"
    assert siem.events() == []
    assert once("--since", since).code == 0
    assert sorted(siem.actions(), key=int) == [str(number) for number in range(1, 9)]
    make(9, 9)
    once()
    assert siem.actions()[-1] == "9"


def test_a_position_of_another_server_is_refused(
    once: Once, siem: Siem, make: Make, connection: Connection
) -> None:
    once()
    make(1, 1)
    connection.execute("UPDATE ops.forward_targets SET server = '1'")

    refused = once()

    assert refused.code == 1
    assert "its position is of another PostgreSQL server" in refused.err
    assert siem.events() == []


def test_without_a_name_a_second_address_of_the_host_does_not_take_over_the_position(
    siem: Siem, opsctl: Callable[..., Done], connection: Connection
) -> None:
    elsewhere = siem.url.replace("/in/", "/other/")
    first = opsctl("forward", "--once", "--to", siem.url)
    other_token = opsctl("forward", "--once", "--to", siem.url.replace("query", "rotated"))
    second = opsctl("forward", "--once", "--to", elsewhere)
    moved = opsctl("forward", "--once", "--to", elsewhere, "--name", "127.0.0.1")
    both = opsctl("forward", "--once", "--to", siem.url, "--name", "second")

    assert [done.code for done in (first, other_token, second, moved, both)] == [0, 0, 2, 0, 0]
    assert "127.0.0.1 is the position of another address of this host" in second.err
    assert [target.name for target in targets(connection)] == ["127.0.0.1", "second"]


def test_a_forgotten_target_begins_anew_and_that_is_recorded(
    once: Once, siem: Siem, opsctl: Callable[..., Done], make: Make, connection: Connection
) -> None:
    once()
    make(1, 1)
    forgotten = opsctl("forward", "--forget", "siem")
    unknown = opsctl("forward", "--forget", "siem")

    assert (forgotten.code, unknown.code) == (0, 2)
    assert targets(connection) == []
    assert (
        scalar(connection, "SELECT details->>'target' FROM audit_logs WHERE action = 'forward.forgotten'")
        == "siem"
    )
    once()
    assert siem.events() == []


def test_status_shows_each_target_and_fails_when_one_is_behind(
    once: Once, opsctl: Callable[..., Done], make: Make, connection: Connection
) -> None:
    once()
    make(1, 1)
    once()
    shown = opsctl("status").out
    _age(connection, "3 hours")
    late = opsctl("status", "--json")

    assert "forward    siem to 127.0.0.1: up to date, " in shown
    assert "no process forwards to it now" in shown
    assert late.code == 1
    (target,) = msgspec.json.decode(late.out)["databases"][0]["forward"]
    assert (target["name"], target["host"]) == ("siem", "127.0.0.1")
    assert target["behind_seconds"] > 10_000


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ([], "to: required"),
        (["--to", "siem.example.com"], "to: must be a web address"),
        (["--to", "https://siem.example.com/#x"], "without #"),
        (["--to", "http://siem.example.com/x"], "write https://"),
        (["--to", "https://me:s3cret@siem.example.com/x"], "OPS_FORWARD_HEADER"),
        (["--to", "https://siem.example.com/", "--name", "a b"], "name: 'a b' cannot be a name"),
        (
            ["--to", "https://siem.example.com/", "--since", "yesterday"],
            "since: 'yesterday' is not a valid time",
        ),
        (["--to", "https://siem.example.com/", "--since", "2199-01-01"], "is in the future"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_sent(
    opsctl: Callable[..., Done], words: list[str], advice: str
) -> None:
    done = opsctl("forward", *words)

    assert done.code == 2
    assert advice in done.err
    assert "s3cret" not in done.err
