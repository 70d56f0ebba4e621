"""Health checks run in the background, each one at a time, and an old result is a failure."""

import asyncio
import time
from collections.abc import Callable

import pytest

from api.health.check import OK, Finding, HealthCheck
from api.health.monitor import Monitor
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.serving import background


class Look:
    """A check that behaves as told, and counts its calls."""

    def __init__(self, *, hangs: bool = False, fails: bool = False) -> None:
        self.hangs, self.fails = hangs, fails
        self.looks = self.at_once = self.most_at_once = 0

    async def __call__(self) -> Finding:
        self.looks += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.hangs:
                await asyncio.Event().wait()
            if self.fails:
                raise ConnectionError("db.example refuses\nand says more")
            return OK
        finally:
            self.at_once -= 1


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_check_that_hangs_fails_at_its_deadline_and_delays_no_other() -> None:
    async def watch() -> None:
        hanging, well = Look(hangs=True), Look()
        checks = [
            HealthCheck("hanging", hanging, interval=0.01, deadline=0.05),
            HealthCheck("well", well, interval=0.01),
        ]
        async with Monitor(checks) as monitor:
            await _until(lambda: hanging.looks > 2 and well.looks > 2)
            assert monitor.result("hanging").finding == Finding("error", "no answer within 0.05 s")
            assert monitor.result("well").finding == OK
        assert hanging.most_at_once == 1

    asyncio.run(watch())


def test_an_exception_in_a_check_becomes_a_message_of_one_line() -> None:
    async def watch() -> Finding:
        async with Monitor([HealthCheck("failing", Look(fails=True), critical=True)]) as monitor:
            return monitor.result("failing").finding

    assert asyncio.run(watch()) == Finding("error", "ConnectionError: db.example refuses")


def test_an_error_for_people_is_its_message_alone() -> None:
    async def invalid() -> Finding:
        raise PolicyError(
            ["policies.yaml:1: version: must be 1, not 2", "policies.yaml:2: databases: is required"]
        )

    async def watch() -> Finding:
        async with Monitor([HealthCheck("failing", invalid, critical=True)]) as monitor:
            return monitor.result("failing").finding

    assert asyncio.run(watch()) == Finding("error", "policies.yaml:1: version: must be 1, not 2")


def test_a_result_older_than_three_intervals_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def watch() -> None:
        async with Monitor([HealthCheck("slow", Look(), critical=True, interval=10, deadline=1)]) as monitor:
            assert monitor.result("slow").finding == OK
            now = time.monotonic()
            monkeypatch.setattr("api.health.monitor.time.monotonic", lambda: now + 33.5)
            found = monitor.result("slow").finding
            monkeypatch.undo()
            assert found.status == "error"
            assert "33 s old" in found.message or "34 s old" in found.message

    asyncio.run(watch())


def test_a_critical_check_runs_again_soon_after_it_failed() -> None:
    critical, other = (HealthCheck("x", Look(), critical=each, interval=60) for each in (True, False))
    failed = Finding("error", "")

    assert critical.beat(failed) == 1.0
    assert critical.beat(OK) == other.beat(failed) == other.beat(OK) == 60


def test_startup_is_complete_for_good_once_all_critical_checks_have_passed_together() -> None:
    async def watch() -> None:
        first, second = Look(), Look(fails=True)
        checks = [
            HealthCheck(name, look, True, interval=0.01) for name, look in (("a", first), ("b", second))
        ]
        async with Monitor(checks) as monitor:
            await _until(lambda: second.looks > 2)
            assert not monitor.started
            second.fails = False
            await _until(lambda: monitor.started)
            first.fails = second.fails = True
            await _until(lambda: monitor.result("a").finding.status == "error")
            assert monitor.started

    asyncio.run(watch())


def test_the_failure_of_a_background_task_is_reported_while_a_reference_is_kept() -> None:
    async def fail() -> None:
        raise LookupError("gone")

    async def watch() -> tuple[str, BaseException]:
        heard: asyncio.Future[tuple[str, BaseException]] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: heard.set_result((context["message"], context["exception"]))
        )
        kept = background.start(fail(), "writer 0")
        found = await heard
        assert kept.done()
        return found

    message, error = asyncio.run(watch())
    assert message == "task writer 0"
    assert isinstance(error, LookupError)
