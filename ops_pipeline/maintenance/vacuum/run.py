"""VACUUM, table by table: each on its own, so that one which cannot be had does not keep the rest."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

import psycopg

import sql
from ops_pipeline.maintenance.batches.batch import PolicyRun, Report, Stop
from ops_pipeline.maintenance.history import Record
from ops_pipeline.maintenance.result import COMPLETED, Work
from ops_pipeline.maintenance.vacuum import (
    advice,
    bloat,
    effect,
    horizon,
    options,
    priorities,
    progress,
    tables,
)
from ops_pipeline.maintenance.vacuum.effect import Gain, IndexGain, TableState
from ops_pipeline.maintenance.vacuum.horizon import Holder
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.maintenance.vacuum.priorities import Choice
from ops_pipeline.maintenance.vacuum.rebuild import Indexes
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.settings import Settings

COUNT_SECONDS = 1.0
"""How often what was done is counted where others see it; each time is a commit."""
LOCKED = "55P03"
GONE = "42P01"
"""SQLSTATEs of the errors, and of the warnings with which VACUUM passes a table over."""


def run_vacuum(run: PolicyRun, policy: Vacuum, _: Settings) -> Work:
    """Vacuums what needs it, the most urgent first, and counts the tables it looked at.

    A table that is locked is tried again at the end. One that stays locked, that this user may not
    vacuum, or whose dead rows somebody holds on to, is counted as left and named in the reason: that
    run is not done. Where the policy says `reindex`, what interrupted rebuilds have left is dropped before,
    and bloated B-trees are built anew after it. `details` has the gain of each table and index, who held
    back, and advice on autovacuum.
    """
    connection, record = run.connection, run.record
    indexes = Indexes(run, policy) if policy.reindex is not None else None
    stopped = indexes.drop_leftovers() if indexes else None
    found = tables.find(connection, policy)
    advised, counted = advice.find(connection, policy, found)
    chosen = priorities.choose(found, policy)
    due = [choice for choice in chosen if choice.action != "skip"]
    run.report(f"{policy.name}: {len(due)} of {len(chosen)} tables need it")
    night = _VacuumRun(connection, policy, record, run.report)
    night.count(len(chosen) - len(due))
    bloated = bloat.find(connection, [choice.table for choice in due])
    with progress.watched(connection, record, run.report):
        with options.resting(connection, policy.cost_delay):
            stopped = stopped or night.through(due, run.stop)
            options.note_oldest(connection)
        night.count()
        if indexes and stopped is None:
            stopped = indexes.rebuild()
    night.compare(bloated, due, indexes.gains if indexes else ())
    work = night.work(chosen, stopped, indexes)
    for each in advised:
        run.report(f"{policy.name}: {each.table}: {each.reason}. You might run: {each.statement}")
    told = {"advice": [asdict(each) for each in advised], "counted": counted.as_json()}
    return replace(work, details={**work.details, **told})


class _VacuumRun:
    """One run over the tables that are due."""

    def __init__(self, connection: Connection, policy: Vacuum, record: Record, report: Report) -> None:
        self._connection = connection
        self._policy = policy
        self._record = record
        self._report = report
        self._gains: dict[int, Gain] = {}
        self._holders: list[Holder] = []
        self._gone = 0
        self._looked_at = 0
        self._counted = time.monotonic()

    def through(self, due: Sequence[Choice], stop: Stop) -> str | None:
        """Does each table, those that were locked once more at the end. Returns why it stopped early."""
        locked: list[Choice] = []
        for choice in due:
            if (reason := stop()) is not None:
                return reason
            if not self._do(choice, wait=False):
                locked.append(choice)
        for choice in locked:
            if (reason := stop()) is not None:
                return reason
            self._do(choice, wait=True)
        return None

    def count(self, more: int = 0) -> None:
        """Adds to the run how many tables were looked at since the last time, and so many more."""
        self._record.add(self._connection, examined=self._looked_at + more, removed=0)
        self._looked_at, self._counted = 0, time.monotonic()

    def compare(self, before: bloat.BloatReport, due: Sequence[Choice], rebuilt: Sequence[IndexGain]) -> None:
        """Looks for bloat again, in the same way, and adds what was found to the gains."""
        now = tables.of(self._connection, [choice.table.oid for choice in due]) if self._gains else []
        after = bloat.find(
            self._connection, [each for each in now if each.oid in self._gains], read=before.read
        )
        self._gains = {
            oid: effect.with_rebuilt(effect.with_bloat(each, oid, before, after), rebuilt)
            for oid, each in self._gains.items()
        }

    def work(self, chosen: Sequence[Choice], stopped: str | None, indexes: Indexes | None) -> Work:
        """What it all came to."""
        dead = sum(choice.table.dead + choice.table.toast_dead for choice in chosen)
        gains = self._gains.values()
        removed = sum(each.dead_before - each.dead_after for each in gains)
        undone = [each for each in gains if each.outcome != "done"]
        due = sum(choice.action != "skip" for choice in chosen)
        left = due - self._gone - len(self._gains) + len(undone)
        details = {
            "tables": [asdict(each) for each in gains],
            "skipped": [
                {"table": str(choice.table), "reason": choice.reason}
                for choice in chosen
                if choice.action == "skip"
            ],
            "indexes": [asdict(each) for each in indexes.gains] if indexes else [],
            "blockers": [{**asdict(each), "remedy": each.remedy} for each in self._holders],
            "progress": None,
        }
        problems = [_problems(undone, self._holders)]
        if indexes:
            left += indexes.left + len(indexes.undone)
            problems += [f"{each.index}: {each.problem}" for each in indexes.undone]
        reason = stopped or "; ".join(filter(None, problems)) or COMPLETED
        return Work(reason, left, None, dead, max(0, dead - removed), details=details)

    def _do(self, choice: Choice, *, wait: bool) -> bool:
        """Works on one table. False when it is locked and nobody was to wait for it."""
        try:
            return self._work_on(choice, wait=wait)
        except psycopg.errors.LockNotAvailable:  # by one who lets nobody even ask for its size
            if not wait:
                return False
        state = TableState.listed(choice.table)
        outcome, problem = self._judged(choice, state, LOCKED, ())
        self._note(choice, effect.between(choice, state, state, outcome, problem, 0.0))
        return True

    def _work_on(self, choice: Choice, *, wait: bool) -> bool:
        began = time.monotonic()
        before = after = effect.state(self._connection, choice.table.relation)
        problem, holders = "", list[Holder]()
        # Dead rows that stay though nobody holds on to them any more are taken by a second pass.
        for _ in range(2):
            start = horizon.now(self._connection)
            problem = self._execute(choice, wait=wait)
            if problem == LOCKED and not wait:
                return False
            after = effect.state(self._connection, choice.table.relation)
            if problem or after is None or not _kept(choice, after):
                break
            holders = horizon.holders(self._connection, since=start, system=choice.table.system)
            if holders:
                break
        if before is None or after is None or problem == GONE:
            self._gone += 1  # dropped since it was listed
        else:
            outcome, problem = self._judged(choice, after, problem, holders)
            seconds = time.monotonic() - began
            self._note(choice, effect.between(choice, before, after, outcome, problem, seconds))
        return True

    def _judged(
        self, choice: Choice, after: TableState, problem: str, holders: Sequence[Holder]
    ) -> tuple[effect.TableOutcome, str]:
        if problem == LOCKED:
            return "passed over", f"locked by {self._locker(choice)}"
        if problem:
            return "passed over", problem
        if not holders:
            return "done", ""
        known = {(each.kind, each.pid, each.name) for each in self._holders}
        self._holders += [each for each in holders if (each.kind, each.pid, each.name) not in known]
        kept = f"{after.all_dead:,} dead rows stay"
        if not after.burdened:
            kept = f"it is still {after.age:,} transactions and {after.multixact_age:,} multixacts old"
        return "blocked", f"{kept}, blocked by {horizon.named(holders)}"

    def _note(self, choice: Choice, each: Gain) -> None:
        self._gains[choice.table.oid] = each
        self._looked_at += 1
        if time.monotonic() - self._counted >= COUNT_SECONDS:
            self.count()
        self._report(f"{self._policy.name}: {_told(each)}")

    def _execute(self, choice: Choice, *, wait: bool) -> str:
        """Runs it. Returns nothing, a SQLSTATE of the two above, or what PostgreSQL warned of."""
        version = self._connection.info.server_version
        with _warnings(self._connection) as warnings:
            try:
                self._connection.execute(
                    options.statement(choice, self._policy, version, skip_locked=not wait)
                )
            except psycopg.errors.LockNotAvailable:
                return LOCKED
            except psycopg.errors.UndefinedTable:
                return GONE
        for state in (LOCKED, GONE):
            if any(warning.sqlstate == state for warning in warnings):
                return state
        return "; ".join(warning.message for warning in warnings)

    def _locker(self, choice: Choice) -> str:
        found = self._connection.execute(
            sql.get("maintenance/vacuum/lockers"), {"oid": choice.table.oid}
        ).fetchone()
        if found is None:
            return "another session"
        pid, user, application = found
        return f"pid {pid} ({', '.join(each for each in (user, application) if each)})"


def _kept(choice: Choice, after: TableState) -> bool:
    """Whether what it was done for is still there."""
    if choice.action == "analyze":
        return False
    table = choice.table
    share = max(after.age / table.age_limit, after.multixact_age / table.multixact_limit)
    return after.burdened or (choice.action == "freeze" and share >= priorities.AGE_SHARE)


def _problems(undone: Sequence[Gain], holders: Sequence[Holder]) -> str:
    blocked = [each for each in undone if each.outcome == "blocked"]
    passed_over = [f"{each.table}: {each.problem}" for each in undone if each.outcome == "passed over"]
    problems = []
    if blocked:
        kept = ", ".join(f"{each.table} ({each.dead_after:,} dead rows)" for each in blocked)
        problems.append(f"blocked by {horizon.named(holders)}; not cleaned: {kept}")
    if passed_over:
        problems.append(f"passed over {'; '.join(passed_over)}")
    return "; ".join(problems)


def _told(each: Gain) -> str:
    what = {"freeze": "VACUUM (FREEZE)", "vacuum": "VACUUM", "analyze": "ANALYZE", "skip": ""}[each.action]
    if each.problem:
        return f"{each.table}, {what} {each.outcome}: {each.problem}"
    return f"{each.table}, {what}, dead rows {each.dead_before:,} before, {each.dead_after:,} after"


@dataclass(frozen=True, slots=True)
class _Warning:
    sqlstate: str | None
    message: str


@contextmanager
def _warnings(connection: Connection) -> Iterator[list[_Warning]]:
    # A table that is locked, or that a user may not vacuum, gets a warning and no error.
    seen: list[_Warning] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            seen.append(_Warning(diagnostic.sqlstate, diagnostic.message_primary or "an unnamed warning"))

    connection.add_notice_handler(note)
    try:
        yield seen
    finally:
        connection.remove_notice_handler(note)
