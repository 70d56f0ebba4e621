"""Reports that the code location cannot be loaded, because policies.yaml is invalid or missing."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

import sql
from ops_pipeline.audit import trail
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.orchestration import delivery, webhook
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.advisory_lock import advisory_lock
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, connect, scalar
from ops_pipeline.settings import Settings

ACTION = "policies.unreadable"
LOCK = "ops: report unreadable policies"
SAFE = (
    "Nothing is deleted: no run starts, and none runs by an earlier version of the file. Expired rows are "
    "kept longer."
)
DO = (
    "Correct the file (`opsctl doctor` names every problem of it), then reload the code location: in the "
    "Dagster UI under Deployment, or by restarting its process."
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UnreadablePolicies:
    """A policies file that cannot be used, with a line for each problem."""

    file: Path
    problems: Sequence[str]
    at: datetime
    url: str

    @property
    def headline(self) -> str:
        """One line."""
        return f"No nightly run starts: {self.file.name} cannot be used"

    @property
    def sections(self) -> Sequence[tuple[str, str]]:
        """The parts of the message for a person: title and text."""
        return [("Why", "\n".join(self.problems)), ("What is safe", SAFE), ("What to do", DO)]

    @property
    def link(self) -> tuple[str, str]:
        """The page with the code locations."""
        return self.url, "Deployment in Dagster"

    def audit_event(self) -> AuditEvent:
        """The audit event."""
        return AuditEvent(
            event_type=trail.EVENT_TYPE,
            action=ACTION,
            resource_type="policies_file",
            status="failure",
            created_at=self.at,
            created_by=trail.SYSTEM,
            details=dict(self.as_json()),
        )

    def as_json(self) -> Mapping[str, Any]:
        """The message for a program."""
        return {
            "event": "maintenance_policies_unreadable",
            "headline": self.headline,
            "policies_file": str(self.file.absolute()),
            "problems": list(self.problems),
            "locations_url": self.url,
            "at": self.at.isoformat(),
            "safe": SAFE,
            "do": DO,
        }


def report(configured: Settings, error: PolicyError) -> None:
    """Records it in the audit log and posts it, unless the same problems were reported within a day.

    Every process that loads the definitions calls this, and Dagster may load them again each minute. The
    audit log is the memory of what was reported. Raises nothing: what could not be posted is logged, and
    posted when the definitions are loaded again.
    """
    message = UnreadablePolicies(
        configured.policies,
        error.problems,
        datetime.now(UTC),
        f"{configured.public_dagster_url}/locations",
    )
    posted = False
    try:
        with (
            embedded.resolved(configured) as resolved,
            connect(str(resolved.database_url), "ops alerts", lock_timeout="60s") as connection,
            advisory_lock(connection, LOCK, wait=True),
        ):
            if _was_reported(connection, message):
                return
            posted = _post(configured, message)
            if posted:
                trail.store(connection, message.audit_event())
    except (DatabaseUnavailableError, psycopg.Error) as unavailable:
        log.warning("Could not record in the audit log that policies are unreadable: %s", unavailable)
        if not posted:  # perhaps it was before: twice is better than never
            _post(configured, message)


def _was_reported(connection: Connection, message: UnreadablePolicies) -> bool:
    values = {"action": ACTION, "by": trail.SYSTEM, "problems": Jsonb(list(message.problems))}
    return bool(scalar(connection, sql.get("orchestration/was_reported"), values))


def _post(configured: Settings, message: UnreadablePolicies) -> bool:
    """Whether posting it again would be of no use."""
    try:
        webhook.post(configured, message)
    except delivery.UndeliveredError as error:
        log.error("Could not post that policies are unreadable: %s", error)  # noqa: TRY400 - no traceback
        return False
    except delivery.RefusedError as error:
        log.error("Could not post that policies are unreadable: %s", error)  # noqa: TRY400 - no traceback
    return True
