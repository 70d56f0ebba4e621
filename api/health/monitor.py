"""Runs the health checks in the background, so that probes only read results."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import psycopg
import structlog

from api.health.check import Finding, HealthCheck, HealthResult
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.serving import background

log = structlog.get_logger()

FOR_PEOPLE = (PolicyError, psycopg.Error)
"""Errors whose message says everything; of others the class is a part of what happened."""


class Monitor:
    """Runs each check at its own interval, and keeps the last result of each.

    Every check has one task, so it never runs twice at a time, and a slow check does not delay the others.
    A check that has not answered by its deadline has failed; it runs again after the look has ended.
    """

    def __init__(self, checks: Iterable[HealthCheck]) -> None:
        self.checks: Mapping[str, HealthCheck] = {check.name: check for check in checks}
        self._results: dict[str, tuple[HealthResult, float]] = {}
        self._first = {name: asyncio.Event() for name in self.checks}
        self._tasks: list[asyncio.Task[None]] = []
        self.started = False
        """Whether all critical checks were ok at the same time since the start."""

    async def __aenter__(self) -> "Monitor":
        self._tasks = [
            background.start(self._watch(check), f"health {check.name}") for check in self.checks.values()
        ]
        # So that the first probe finds a result; each comes by its check's deadline.
        await asyncio.gather(
            *(self._first[check.name].wait() for check in self.checks.values() if check.critical)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        # A hanging look must not delay the shutdown; its task ends with the loop.
        await asyncio.wait(self._tasks, timeout=1.0)

    def result(self, name: str) -> HealthResult:
        """The last result of a check. One older than three times the sum of
        interval and deadline is an error."""
        check = self.checks[name]
        if name not in self._results:
            return HealthResult(Finding("error", "not checked yet"), 0.0, datetime.now(UTC))
        result, at = self._results[name]
        age = time.monotonic() - at
        if age > 3 * (check.interval + check.deadline):
            stale = Finding("error", f"the last result is {age:.0f} s old; the check is not being run")
            return HealthResult(stale, result.latency_ms, result.checked_at)
        return result

    async def _watch(self, check: HealthCheck) -> None:
        while True:
            began = time.monotonic()
            looking = asyncio.ensure_future(check.look())
            try:
                await asyncio.wait({looking}, timeout=check.deadline)
                self._record(check, looking, began)
                if not looking.done():
                    looking.cancel()
                    await asyncio.wait({looking})
            finally:
                looking.cancel()
            beat = check.beat(self._results[check.name][0].finding)
            await asyncio.sleep(max(0.0, beat - (time.monotonic() - began)))

    def _record(self, check: HealthCheck, looking: "asyncio.Future[Finding]", began: float) -> None:
        if not looking.done():
            finding = Finding("error", f"no answer within {check.deadline:g} s")
        elif looking.cancelled():
            finding = Finding("error", "the check was canceled")
        elif (error := looking.exception()) is not None:
            finding = Finding("error", _in_one_line(error))
        else:
            finding = looking.result()
        now = time.monotonic()
        before = self._results.get(check.name)
        result = HealthResult(finding, round((now - began) * 1000, 3), datetime.now(UTC))
        self._results[check.name] = (result, now)
        self.started = self.started or all(
            self.result(critical.name).finding.status != "error"
            for critical in self.checks.values()
            if critical.critical
        )
        self._first[check.name].set()
        if before is None or before[0].finding.status != finding.status:
            write = log.info if finding.status != "error" else log.warning
            write("health", check=check.name, status=finding.status, message=finding.message)


def _in_one_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    if text and isinstance(error, FOR_PEOPLE):
        return text[0]
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
