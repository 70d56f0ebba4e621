"""Dagster's daemon: whether it reports, and whether it is the only one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Installation, NotAskedError
from ops_pipeline.finding import Finding

HEARTBEAT_SECONDS = 300
"""Dagster itself reports a daemon as unhealthy after this time without a heartbeat."""
INTERVAL_SECONDS = 30
"""A daemon sends a heartbeat this often (DEFAULT_HEARTBEAT_INTERVAL_SECONDS)."""
LATE_SECONDS = 75
"""After this time without a heartbeat, two and a half intervals, the daemon may have ended."""
WATCH_SECONDS = INTERVAL_SECONDS + 8
LOOK_EVERY_SECONDS = 0.5
START = "opsctl up"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last heartbeat of a kind of daemon: its age in seconds, and the id of the process that sent it."""

    kind: str
    sender: str
    age: float

    @property
    def silent(self) -> bool:
        return self.age > HEARTBEAT_SECONDS


def silent(heartbeats: Sequence[Heartbeat]) -> str | None:
    """Why no schedule starts, by the last heartbeats; None: the daemons report."""
    if "SCHEDULER" not in {heartbeat.kind for heartbeat in heartbeats}:
        return "the scheduler has sent no heartbeat; start the Dagster daemon"
    late = [f"{heartbeat.kind} ({heartbeat.age:.0f} s)" for heartbeat in heartbeats if heartbeat.silent]
    return f"no heartbeat from: {', '.join(late)}" if late else None


class Senders:
    """Remembers who sent the heartbeats, over many looks."""

    def __init__(self) -> None:
        self._current: dict[str, str] = {}
        self._replaced: set[str] = set()

    def several(self, heartbeats: Sequence[Heartbeat]) -> str | None:
        """Why there are several daemons: one that another had replaced sends again; None: there is one.

        A daemon that was restarted has a new id, and the old one does not come back.
        """
        for heartbeat in heartbeats:
            before = self._current.get(heartbeat.kind, heartbeat.sender)
            if before != heartbeat.sender:
                self._replaced.add(before)
            self._current[heartbeat.kind] = heartbeat.sender
        again = self._replaced & set(self._current.values())
        # Forgotten, so that the check recovers once there is only one.
        self._replaced -= again
        if not again:
            return None
        return "several Dagster daemons send heartbeats, and Dagster supports one; stop the others"


def _heartbeats(installation: Installation) -> list[Heartbeat]:
    rows = installation.dagster_connection().execute(sql.get("diagnosis/heartbeats"))
    return [Heartbeat(*row) for row in rows]


def _look_started(installation: Installation) -> Iterator[Finding]:
    if not _heartbeats(installation):
        yield Finding(
            "Dagster daemon",
            "no daemon has run yet, so no schedule starts a nightly run. If cron runs `opsctl run`, no "
            "action is required. Otherwise start it",
            (START,),
        )


def _look_reports(installation: Installation) -> Iterator[Finding]:
    heartbeats = _heartbeats(installation)
    if not heartbeats:
        raise NotAskedError("no daemon has run yet")
    if problem := silent(heartbeats):
        yield Finding(
            "Dagster daemon",
            f"{problem}. No schedule starts a nightly run; nothing is lost, the next run deletes what the "
            "missed ones would have. Start it",
            (START, "docker compose up -d daemon"),
        )


def _look_single(installation: Installation) -> Iterator[Finding]:
    before = [heartbeat for heartbeat in _heartbeats(installation) if not heartbeat.silent]
    if not before:
        raise NotAskedError("no daemon runs")
    senders = {heartbeat.kind: heartbeat.sender for heartbeat in before}
    # Each process overwrites the heartbeat of the other. So the next one shows whether there is another.
    oldest = max(before, key=lambda heartbeat: heartbeat.age)
    waited = 0.0
    while len(set(senders.values())) == 1 and waited < WATCH_SECONDS:
        installation.sleep(LOOK_EVERY_SECONDS)
        waited += LOOK_EVERY_SECONDS
        now = {heartbeat.kind: heartbeat for heartbeat in _heartbeats(installation)}
        senders |= {kind: now[kind].sender for kind in senders if now[kind].sender != senders[kind]}
        if now[oldest.kind].age < oldest.age:
            break
    if len(ids := sorted({*senders.values(), *(heartbeat.sender for heartbeat in before)})) > 1:
        yield Finding(
            "Dagster daemon",
            f"{len(ids)} daemons send heartbeats ({', '.join(ids)}), and Dagster supports one: with "
            "several, a schedule may start a run twice. If the daemon was restarted within the last minute, "
            "ask again. Otherwise find the other one and stop it",
            ("pgrep -af 'dagster-daemon|dagster dev'", "docker ps"),
        )


DAEMON_STARTED = Diagnosis(
    id="daemon_started",
    severity="warning",
    question="Has a Dagster daemon, which starts the nightly runs, ever run?",
    remedy="Run `opsctl up`, or `docker compose up -d daemon`; none is needed where cron runs `opsctl run`.",
    look=_look_started,
)
DAEMON = Diagnosis(
    id="daemon",
    severity="error",
    question=f"Has the Dagster daemon reported within {HEARTBEAT_SECONDS // 60} minutes?",
    remedy="Start it: `opsctl up`, or `docker compose up -d daemon`.",
    look=_look_reports,
)
ONE_DAEMON = Diagnosis(
    id="one_daemon",
    severity="error",
    question="Does only one Dagster daemon report?",
    remedy="Stop the other one: look for `dagster-daemon` and `dagster dev` on every host that has "
    "`OPS_DAGSTER_DATABASE_URL`.",
    look=_look_single,
)
