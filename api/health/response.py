"""The responses of the probes, in this API's form and in that of the IETF draft."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar

import msgspec
from litestar import Response
from msgspec import UNSET, UnsetType

from api.health.check import HealthCheck, HealthResult, HealthStatus
from api.problems import AnyRequest
from ops_pipeline import __version__

HEALTH_JSON = "application/health+json"
HEADERS = {"Cache-Control": "no-store", "Vary": "Accept, Authorization"}

Overall = Literal["healthy", "degraded", "unhealthy"]
DraftStatus = Literal["pass", "warn", "fail"]


class CheckState(msgspec.Struct, frozen=True, kw_only=True):
    """The last result of a check; `latency` is in ms. `message` is for keys that may read it."""

    status: HealthStatus
    latency: float
    critical: bool | UnsetType = UNSET
    checked_at: str | UnsetType = UNSET
    runbook: str | UnsetType = UNSET
    message: str | UnsetType = UNSET


class Alive(msgspec.Struct, frozen=True, kw_only=True):
    """The process is alive; `uptime` is in seconds."""

    status: Literal["alive"] = "alive"
    uptime: float
    timestamp: str


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the process is ready, or has started, and the `reason` if not."""

    status: Literal["ready", "not_ready", "started", "not_started"]
    reason: str | UnsetType = UNSET
    database_latency_ms: float | UnsetType = UNSET
    checks: dict[str, CheckState] | UnsetType = UNSET
    timestamp: str


class Full(msgspec.Struct, frozen=True, kw_only=True):
    """The state of all checks; `uptime` is in seconds."""

    status: Overall
    uptime: float
    version: str
    checks: dict[str, CheckState]
    timestamp: str


class OneCheck(CheckState, frozen=True, kw_only=True):
    """The state of one check."""

    name: str
    timestamp: str


class DraftCheck(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A check in the form of the draft."""

    status: DraftStatus
    observed_value: float
    observed_unit: Literal["ms"] = "ms"
    time: str
    links: dict[str, str]
    output: str | UnsetType = UNSET


class HealthDraft(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A response as in draft-inadarei-api-health-check-06, for `Accept: application/health+json`."""

    status: DraftStatus
    version: str
    release_id: str
    output: str | UnsetType = UNSET
    checks: dict[str, list[DraftCheck]] | UnsetType = UNSET


Answer = TypeVar("Answer", Alive, Readiness, Full, OneCheck)


@dataclass(frozen=True, slots=True)
class Findings:
    """The results of some checks. `in_words`: with messages, for a client that may read addresses and
    pids."""

    checks: Sequence[HealthCheck]
    results: dict[str, HealthResult]
    in_words: bool

    @property
    def failed(self) -> list[HealthCheck]:
        """The checks that have failed."""
        return [check for check in self.checks if self.results[check.name].finding.status == "error"]

    def states(self, *, verbose: bool) -> dict[str, CheckState]:
        """Each check by its name, in this API's form."""
        return {check.name: self._state(check, verbose=verbose) for check in self.checks}

    def drafted(self) -> dict[str, list[DraftCheck]]:
        """Each check by its name, in the draft's form."""
        return {f"{check.name}:responseTime": [self._drafted(check)] for check in self.checks}

    def _state(self, check: HealthCheck, *, verbose: bool) -> CheckState:
        result = self.results[check.name]
        state = CheckState(status=result.finding.status, latency=result.latency_ms)
        return (
            state
            if not verbose
            else msgspec.structs.replace(
                state,
                critical=check.critical,
                checked_at=iso(result.checked_at),
                runbook=check.runbook,
                message=result.finding.message if self.in_words else UNSET,
            )
        )

    def _drafted(self, check: HealthCheck) -> DraftCheck:
        result = self.results[check.name]
        status: DraftStatus = "pass"
        if result.finding.status == "error":
            status = "fail" if check.critical else "warn"
        return DraftCheck(
            status=status,
            observed_value=result.latency_ms,
            time=iso(result.checked_at),
            links={"about": check.runbook},
            output=(self.in_words and result.finding.message) or UNSET,
        )


def overall(failed: Sequence[HealthCheck]) -> tuple[Overall, DraftStatus]:
    """The overall status for these failed checks, in either form."""
    if not failed:
        return "healthy", "pass"
    if any(check.critical for check in failed):
        return "unhealthy", "fail"
    return "degraded", "warn"


def answered(
    request: AnyRequest,
    status_code: int,
    answer: Answer,
    draft_status: DraftStatus,
    findings: Findings | None = None,
) -> Response[Answer | HealthDraft]:
    """The response in the form that the client prefers."""
    if not _wants_draft(request):
        return Response(answer, status_code=status_code, headers=HEADERS)
    draft = HealthDraft(
        status=draft_status,
        version=__version__.split(".")[0],
        release_id=__version__,
        output=getattr(answer, "reason", UNSET),
        checks=UNSET if findings is None else findings.drafted(),
    )
    return Response(draft, status_code=status_code, headers=HEADERS, media_type=HEALTH_JSON)


def listed(texts: Sequence[str]) -> list[str]:
    """The names in comma-separated lists."""
    return [name for text in texts for part in text.split(",") if (name := part.strip())]


def iso(moment: datetime) -> str:
    """The time in RFC 3339 format, with milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> str:
    """The current time, in the format of the responses."""
    return iso(datetime.now(UTC))


def _wants_draft(request: AnyRequest) -> bool:
    # Few clients do, and content negotiation costs more than the rest of the response.
    if HEALTH_JSON not in request.headers.get("Accept", ""):
        return False
    return request.accept.best_match(["application/json", HEALTH_JSON]) == HEALTH_JSON
