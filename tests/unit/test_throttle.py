"""The throttle waits while a load is beyond its limit, counts the reasons, and stops waiting in the end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from ops_pipeline.policies.model import ThrottleLimits
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.throttle.limits import PATIENCE_SECONDS, Exceeded, Throttle

FREE = (0.0, 0, 0, 0)
LIMITS = ThrottleLimits(timedelta(seconds=10), 3, 5, 1_000)


@dataclass
class Clock:
    """Time passes only by sleeping, or when the test moves it."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Server:
    """Answers with a load that the test computes from the time."""

    load: Callable[[], tuple[Any, ...]]
    looks: list[str] = field(default_factory=list)

    def execute(self, statement: str, _: object = None) -> "Server":
        self.looks.append(statement)
        return self

    def fetchone(self) -> tuple[Any, ...]:
        return self.load()


def _never() -> None:
    return None


def _throttle(tmp_path: Path, clock: Clock, limits: ThrottleLimits = LIMITS) -> Throttle:
    return Throttle(limits, tmp_path / "throttle", clock=clock, sleep=clock.sleep)


def _connection(load: Callable[[], tuple[Any, ...]]) -> Connection:
    return cast("Connection", Server(load))


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        ((10.5, 0, 0, 0), "replica_lag"),
        ((0.0, 4, 0, 0), "lock_queue"),
        ((0.0, 0, 6, 0), "active_sessions"),
    ],
)
def test_a_load_beyond_its_limit_is_waited_for_until_it_is_over(
    tmp_path: Path, load: tuple[Any, ...], reason: str
) -> None:
    clock = Clock()
    throttle = _throttle(tmp_path, clock)

    stopped = throttle.wait(_connection(lambda: load if clock.now < 5 else FREE), _never)

    assert stopped is None
    assert set(throttle.waits) == {reason}
    assert throttle.waits[reason].seconds == clock.now >= 5
    assert throttle.waits[reason].count >= 3


def test_a_load_at_its_limit_is_not_waited_for(tmp_path: Path) -> None:
    throttle = _throttle(tmp_path, Clock())

    assert throttle.wait(_connection(lambda: (10.0, 3, 5, 0)), _never) is None
    assert throttle.waits == {}


def test_a_limit_that_is_not_set_is_no_reason(tmp_path: Path) -> None:
    throttle = _throttle(tmp_path, Clock(), ThrottleLimits(None, None, None, None))

    assert throttle.wait(_connection(lambda: (1e6, 1000, 1000, 0)), _never) is None
    assert throttle.waits == {}


def test_wal_stays_within_its_budget_over_time(tmp_path: Path) -> None:
    clock = Clock()
    throttle = _throttle(tmp_path, clock)
    written = 0

    for _ in range(20):  # 20 batches of 5,000 bytes in no time, with 1,000 bytes a second allowed
        written += 5_000
        throttle.wait(_connection(lambda: (0.0, 0, 0, written)), _never)  # noqa: B023 - asked at once
        clock.now += 0.3

    assert set(throttle.waits) == {"wal_rate"}
    assert clock.now >= 19 * 5
    assert clock.now <= 19 * 5 * 1.5


def test_the_throttle_file_throttles_and_a_stop_ends_the_wait(tmp_path: Path) -> None:
    clock = Clock()
    throttle = _throttle(tmp_path, clock)
    (tmp_path / "throttle").touch()

    stopped = throttle.wait(_connection(lambda: FREE), lambda: "asked to" if clock.now > 30 else None)

    assert stopped == "asked to"
    assert throttle.waits["throttle_file"].seconds > 30


def test_waiting_ends_after_its_limit_with_the_reason(tmp_path: Path) -> None:
    clock = Clock()
    throttle = _throttle(tmp_path, clock)

    stopped = throttle.wait(_connection(lambda: (99.0, 0, 0, 0)), _never)

    assert stopped is not None
    assert "replica_lag" in stopped
    assert PATIENCE_SECONDS < clock.now < PATIENCE_SECONDS + 10


def test_the_load_is_not_measured_between_short_batches(tmp_path: Path) -> None:
    clock = Clock()
    throttle = _throttle(tmp_path, clock)
    server = Server(lambda: FREE)

    for _ in range(10):
        throttle.wait(cast("Connection", server), _never)
        clock.now += 0.1

    assert 2 <= len(server.looks) <= 5


def test_a_wait_that_lasts_is_reported_once_while_it_lasts_and_a_short_one_is_not(tmp_path: Path) -> None:
    clock = Clock()
    told: list[tuple[str, bool]] = []

    def waiting(exceeded: Exceeded, seconds: float) -> None:
        told.append((str(exceeded), 0.5 <= seconds < 2))

    throttle = Throttle(LIMITS, tmp_path / "throttle", waiting, clock=clock, sleep=clock.sleep)

    throttle.wait(_connection(lambda: (43.0, 0, 0, 0) if clock.now < 0.2 else FREE), _never)
    assert told == []
    clock.now = 100.0
    throttle.wait(_connection(lambda: (43.0, 0, 0, 0) if clock.now < 140 else FREE), _never)
    assert told == [("replica_lag: the slowest standby is 43 s behind, limit 10 s", True)]
