"""How the probes' answers look: the form of the mission, and that of the IETF draft."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from litestar import Request, Response
from litestar.datastructures import State

from api.health.check import Check, Result
from ops_pipeline import __version__

HEALTH_JSON = "application/health+json"
HEADERS = {"Cache-Control": "no-store", "Vary": "Accept, Authorization"}

Draft = Literal["pass", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Told:
    """Some checks and what is told of them. `in_words`: to somebody who may know addresses and pids."""

    checks: Sequence[Check]
    results: dict[str, Result]
    in_words: bool

    @property
    def failed(self) -> list[Check]:
        return [each for each in self.checks if self.results[each.name].finding.status == "error"]

    def described(self, *, verbose: bool) -> dict[str, dict[str, Any]]:
        """Each check by its name, as this API's own answers have it."""
        described: dict[str, dict[str, Any]] = {}
        for check in self.checks:
            result = self.results[check.name]
            described[check.name] = {"status": result.finding.status, "latency": result.latency_ms}
            if verbose:
                described[check.name] |= {
                    "critical": check.critical,
                    "checked_at": iso(result.checked_at),
                    "runbook": check.runbook,
                }
                if self.in_words:
                    described[check.name]["message"] = result.finding.message
        return described

    def drafted(self) -> dict[str, list[dict[str, Any]]]:
        """The same as the draft has it."""
        return {f"{check.name}:responseTime": [self._drafted(check)] for check in self.checks}

    def _drafted(self, check: Check) -> dict[str, Any]:
        result = self.results[check.name]
        status: Draft = "pass"
        if result.finding.status == "error":
            status = "fail" if check.critical else "warn"
        drafted: dict[str, Any] = {
            "status": status,
            "observedValue": result.latency_ms,
            "observedUnit": "ms",
            "time": iso(result.checked_at),
            "links": {"about": check.runbook},
        }
        if self.in_words and result.finding.message:
            drafted["output"] = result.finding.message
        return drafted


def overall(failed: Sequence[Check]) -> tuple[str, Draft]:
    """What failed checks come to, in either form."""
    if not failed:
        return "healthy", "pass"
    if any(check.critical for check in failed):
        return "unhealthy", "fail"
    return "degraded", "warn"


def answered(
    request: Request[Any, Any, State],
    status_code: int,
    status: str,
    in_draft: Draft,
    told: Told | None = None,
    **content: Any,
) -> Response[dict[str, Any]]:
    """The answer in the form that the client prefers.

    The other is "Health Check Response Format for HTTP APIs", draft-inadarei-api-health-check-06.
    """
    if _wants_draft(request):
        drafted: dict[str, Any] = {
            "status": in_draft,
            "version": __version__.split(".")[0],
            "releaseId": __version__,
        }
        if reason := content.get("reason"):
            drafted["output"] = reason
        if told is not None:
            drafted["checks"] = told.drafted()
        return Response(drafted, status_code=status_code, headers=HEADERS, media_type=HEALTH_JSON)
    body = {"status": status, **content, "timestamp": iso(datetime.now(UTC))}
    return Response(body, status_code=status_code, headers=HEADERS)


def listed(texts: Sequence[str]) -> list[str]:
    """The names in lists with commas."""
    return [name for text in texts for each in text.split(",") if (name := each.strip())]


def iso(moment: datetime) -> str:
    """As RFC 3339 has it, in milliseconds."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _wants_draft(request: Request[Any, Any, State]) -> bool:
    # Nearly nobody does, and weighing types costs more than the rest of the answer.
    if HEALTH_JSON not in request.headers.get("Accept", ""):
        return False
    return request.accept.best_match(["application/json", HEALTH_JSON]) == HEALTH_JSON
