"""Runs a vacuum policy: VACUUM table by table, so that one locked table does not stop the others."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace

import psycopg

import sql
from ops_pipeline.counted import counted
from ops_pipeline.maintenance.batches.batch import PolicyRun
from ops_pipeline.maintenance.result import COMPLETED, Work
from ops_pipeline.maintenance.vacuum import effect, horizon, options, priorities, progress
from ops_pipeline.maintenance.vacuum.advice import find_advice
from ops_pipeline.maintenance.vacuum.bloat import BloatReport, find_bloat
from ops_pipeline.maintenance.vacuum.effect import IndexGain, TableGain
from ops_pipeline.maintenance.vacuum.horizon import Holder
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.maintenance.vacuum.priorities import Choice
from ops_pipeline.maintenance.vacuum.rebuild import IndexMaintenance
from ops_pipeline.maintenance.vacuum.tables import TableState, find_tables, policy_tables, table_state
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.settings import Settings

COUNT_SECONDS = 1.0
"""How often the run's counters are updated, each time with a commit."""
LOCKED = "55P03"
GONE = "42P01"
"""SQLSTATEs of the errors, and of the warnings with which VACUUM skips a table."""


def run_vacuum(run: PolicyRun, policy: Vacuum, _: Settings) -> Work:
    """Vacuums the tables that need it, the most urgent first, and counts the tables it has decided on.

    A table that is locked is tried again at the end. A table that stays locked, that this user may not
    vacuum, or whose dead rows a session still needs, counts as remaining and is named in the reason: that run
    is not done. If the policy has `reindex`, invalid indexes of interrupted rebuilds are dropped first, and
    bloated B-trees are rebuilt afterwards. `details` has the gain of each table and index, the blocking
    sessions, and advice on autovacuum.
    """
    connection = run.connection
    indexes = IndexMaintenance(run, policy) if policy.reindex is not None else None
    stopped = indexes.drop_leftovers() if indexes else None
    tables = policy_tables(connection, policy)
    advised, counters = find_advice(connection, policy, tables)
    chosen = priorities.choose(tables, policy)
    due = [choice for choice in chosen if choice.action != "skip"]
    run.report(f"{policy.name}: {len(due)} of {counted(len(chosen), 'table')} to vacuum or analyze")
    table_run = _TableRun(run, policy)
    table_run.count(len(chosen) - len(due))
    bloat_before = find_bloat(connection, [choice.table for choice in due])
    with progress.watched(connection, run.record, run.report):
        with options.with_setting(connection, "vacuum_cost_delay", str(policy.cost_delay)):
            stopped = stopped or table_run.work_through(due)
            options.record_oldest(connection)
        table_run.count()
        if indexes and stopped is None:
            stopped = indexes.rebuild()
    table_run.compare(bloat_before, due, indexes.gains if indexes else ())
    work = table_run.work(chosen, stopped, indexes)
    for advice in advised:
        run.report(f"{policy.name}: {advice.table}: {advice.reason}. Consider: {advice.statement}")
    details = {"advice": [asdict(advice) for advice in advised], "counted": counters.as_json()}
    return replace(work, details={**work.details, **details})


@dataclass(slots=True)
class _TableRun:
    """VACUUM of the tables that need it, and the result of each."""

    run: PolicyRun
    policy: Vacuum
    _gains: dict[int, TableGain] = field(default_factory=dict)
    _holders: list[Holder] = field(default_factory=list)
    _gone: int = 0
    _uncounted: int = 0
    _counted_at: float = field(default_factory=time.monotonic)

    def work_through(self, due: Sequence[Choice]) -> str | None:
        """Vacuums each table, and locked ones once more at the end. Returns why it stopped early."""
        locked: list[Choice] = []
        for choice in due:
            if (reason := self.run.stopped()) is not None:
                return reason
            if not self._vacuum(choice, wait=False):
                locked.append(choice)
        for choice in locked:
            if (reason := self.run.stopped()) is not None:
                return reason
            self._vacuum(choice, wait=True)
        return None

    def count(self, more: int = 0) -> None:
        """Adds to the run the number of tables worked on since the last call, plus `more`."""
        self.run.record.add(self._connection, scanned=self._uncounted + more, removed=0)
        self._uncounted, self._counted_at = 0, time.monotonic()

    def compare(self, before: BloatReport, due: Sequence[Choice], rebuilt: Sequence[IndexGain]) -> None:
        """Measures bloat again, in the same way, and adds the difference to the gains."""
        oids = [choice.table.oid for choice in due]
        current = find_tables(self._connection, oids) if self._gains else []
        worked_on = [table for table in current if table.oid in self._gains]
        after = find_bloat(self._connection, worked_on, read=before.read)
        self._gains = {
            oid: effect.with_rebuilt(effect.with_bloat(gain, oid, before, after), rebuilt)
            for oid, gain in self._gains.items()
        }

    def work(self, chosen: Sequence[Choice], stopped: str | None, indexes: IndexMaintenance | None) -> Work:
        """The result of the run."""
        dead = sum(choice.table.dead + choice.table.toast_dead for choice in chosen)
        gains = self._gains.values()
        removed = sum(gain.dead_before - gain.dead_after for gain in gains)
        undone = [gain for gain in gains if gain.outcome != "done"]
        skipped = [choice for choice in chosen if choice.action == "skip"]
        remaining = len(chosen) - len(skipped) - self._gone - len(gains) + len(undone)
        details = {
            "tables": [asdict(gain) for gain in gains],
            "skipped": [{"table": str(choice.table), "reason": choice.reason} for choice in skipped],
            "indexes": [asdict(gain) for gain in indexes.gains] if indexes else [],
            "blockers": [{**asdict(holder), "remedy": holder.remedy} for holder in self._holders],
            "progress": None,
        }
        problems = [_problems(undone, self._holders)]
        if indexes:
            remaining += indexes.remaining + len(indexes.undone)
            problems += [f"{gain.index}: {gain.problem}" for gain in indexes.undone]
        unprocessed = f"{counted(remaining, 'table or index', 'tables or indexes')} not processed"
        reason = stopped or "; ".join(filter(None, problems)) or (remaining and unprocessed) or COMPLETED
        return Work(reason, None, None, dead, max(0, dead - removed), details=details)

    @property
    def _connection(self) -> Connection:
        return self.run.connection

    def _vacuum(self, choice: Choice, *, wait: bool) -> bool:
        """Vacuums one table. False when it is locked and `wait` is false."""
        try:
            return self._work_on(choice, wait=wait)
        except psycopg.errors.LockNotAvailable:  # a lock that even prevents reading its size
            if not wait:
                return False
        state = TableState.listed(choice.table)
        outcome, problem = self._outcome(choice, state, LOCKED, ())
        self._add(choice, effect.table_gain(choice, state, state, outcome, problem, 0.0))
        return True

    def _work_on(self, choice: Choice, *, wait: bool) -> bool:
        began = time.monotonic()
        before = after = table_state(self._connection, choice.table.relation)
        problem, holders = "", list[Holder]()
        # If dead rows remain although no session needs them any more, a second pass removes them.
        for _ in range(2):
            start = horizon.next_transaction(self._connection)
            problem = self._execute(choice, wait=wait)
            if problem == LOCKED and not wait:
                return False
            after = table_state(self._connection, choice.table.relation)
            if problem or after is None or not _is_still_due(choice, after):
                break
            holders = horizon.find_holders(self._connection, since=start, system=choice.table.system)
            if holders:
                break
        if before is None or after is None or problem == GONE:
            self._gone += 1  # the table was dropped since it was listed
        else:
            outcome, problem = self._outcome(choice, after, problem, holders)
            seconds = time.monotonic() - began
            self._add(choice, effect.table_gain(choice, before, after, outcome, problem, seconds))
        return True

    def _outcome(
        self, choice: Choice, after: TableState, problem: str, holders: Sequence[Holder]
    ) -> tuple[effect.TableOutcome, str]:
        if problem == LOCKED:
            return "skipped", f"locked by {self._locker(choice)}"
        if problem:
            return "skipped", problem
        if not holders:
            return "done", ""
        known = {(holder.kind, holder.pid, holder.name) for holder in self._holders}
        self._holders += [holder for holder in holders if (holder.kind, holder.pid, holder.name) not in known]
        kept = counted(after.all_dead, "dead row remains", "dead rows remain")
        if not priorities.has_many_dead(after):
            kept = f"it is still {after.age:,} transactions and {after.multixact_age:,} multixacts old"
        return "blocked", f"{kept}, blocked by {horizon.named(holders)}"

    def _add(self, choice: Choice, gain: TableGain) -> None:
        self._gains[choice.table.oid] = gain
        self._uncounted += 1
        if time.monotonic() - self._counted_at >= COUNT_SECONDS:
            self.count()
        self.run.report(f"{self.policy.name}: {_described(gain)}")

    def _execute(self, choice: Choice, *, wait: bool) -> str:
        """Runs it. Returns an empty string, LOCKED, GONE, or PostgreSQL's warnings."""
        version = self._connection.info.server_version
        statement = options.statement(choice, self.policy, version, skip_locked=not wait)
        with _warnings(self._connection) as warnings:
            try:
                self._connection.execute(statement)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.UndefinedTable) as error:
                return str(error.sqlstate)
        for state in (LOCKED, GONE):
            if any(warning.sqlstate == state for warning in warnings):
                return state
        return "; ".join(warning.message for warning in warnings)

    def _locker(self, choice: Choice) -> str:
        values = {"oid": choice.table.oid}
        locker = self._connection.execute(sql.get("maintenance/vacuum/lockers"), values).fetchone()
        if locker is None:
            return "another session"
        pid, *names = locker
        named = ", ".join(filter(None, names))
        return f"pid {pid} ({named})" if named else f"pid {pid}"


def _is_still_due(choice: Choice, after: TableState) -> bool:
    """Whether the table still needs what was done."""
    if choice.action == "analyze":
        return False
    table = choice.table
    share = max(after.age / table.age_limit, after.multixact_age / table.multixact_limit)
    return priorities.has_many_dead(after) or (choice.action == "freeze" and share >= priorities.AGE_SHARE)


def _problems(undone: Sequence[TableGain], holders: Sequence[Holder]) -> str:
    blocked = [gain for gain in undone if gain.outcome == "blocked"]
    skipped = [f"{gain.table}: {gain.problem}" for gain in undone if gain.outcome == "skipped"]
    problems = []
    if blocked:
        kept = ", ".join(f"{gain.table} ({counted(gain.dead_after, 'dead row')})" for gain in blocked)
        problems.append(f"blocked by {horizon.named(holders)}; not fully vacuumed: {kept}")
    if skipped:
        problems.append(f"skipped {'; '.join(skipped)}")
    return "; ".join(problems)


def _described(gain: TableGain) -> str:
    what = {"freeze": "VACUUM (FREEZE)", "vacuum": "VACUUM", "analyze": "ANALYZE", "skip": ""}[gain.action]
    if gain.problem:
        return f"{gain.table}, {what} {gain.outcome}: {gain.problem}"
    return f"{gain.table}, {what}, dead rows {gain.dead_before:,} before, {gain.dead_after:,} after"


@dataclass(frozen=True, slots=True)
class _Warning:
    sqlstate: str | None
    message: str


@contextmanager
def _warnings(connection: Connection) -> Iterator[list[_Warning]]:
    # A table that is locked, or that a user may not vacuum, gets a warning and no error.
    warnings: list[_Warning] = []

    def keep(diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            warnings.append(_Warning(diagnostic.sqlstate, diagnostic.message_primary or "an unnamed warning"))

    connection.add_notice_handler(keep)
    try:
        yield warnings
    finally:
        connection.remove_notice_handler(keep)
