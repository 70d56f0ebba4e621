"""Rebuilds bloated B-trees with REINDEX CONCURRENTLY, one after the other, if the policy has `reindex`.

The table can be read and written meanwhile. At the end of each phase, REINDEX waits for transactions that
have the table open, or are older (PostgreSQL's documentation, REINDEX, "Rebuilding Indexes Concurrently").
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.maintenance.batches.batch import PolicyRun
from ops_pipeline.maintenance.plan import is_migrated
from ops_pipeline.maintenance.vacuum import bloat, horizon, invalid_indexes
from ops_pipeline.maintenance.vacuum.bloat import Btree
from ops_pipeline.maintenance.vacuum.effect import IndexGain
from ops_pipeline.maintenance.vacuum.invalid_indexes import Leftover
from ops_pipeline.maintenance.vacuum.options import with_setting
from ops_pipeline.maintenance.vacuum.policy import Reindex, Vacuum
from ops_pipeline.maintenance.vacuum.tables import policy_tables
from ops_pipeline.postgres import disk
from ops_pipeline.postgres.connection import Connection, connection_was_lost, scalar
from ops_pipeline.postgres.relation import Relation

PATIENCE = "5 min"
"""How long it waits, at each phase's end, for transactions that have the table open. Meanwhile only sessions
that change the table's schema wait; giving up would lose what has been built."""
ROOM = 2.2
"""Disk space that may be needed, as a multiple of the new index: the index, and its rows sorted on disk."""

IndexWork = Callable[[], int]
"""Does the work, and returns the index's size in bytes afterwards."""


class SkippedError(Exception):
    """The index was not rebuilt or dropped; the message says why."""


def past_threshold(btrees: Sequence[Btree], reindex: Reindex | None) -> list[Btree]:
    """The B-trees that the policy rebuilds, the most wasteful first; none without `reindex`."""
    if reindex is None:
        return []
    wasteful = [
        (btree.bloat.wasted, btree)
        for btree in btrees
        if btree.bloat
        and btree.size >= reindex.min_size
        and btree.bloat.share >= reindex.min_bloat
        and not btree.exclusion
    ]
    return [btree for _, btree in sorted(wasteful, key=itemgetter(0), reverse=True)]


def corrections(connection: Connection, policy_name: str) -> Mapping[str, float]:
    """For each index that the policy has rebuilt: the factor by which it was larger than estimated.

    With it, an index that the statistics misjudge is rebuilt once, and not in every run.
    """
    if not is_migrated(connection):
        return {}
    rows = connection.execute(sql.get("maintenance/vacuum/rebuilt"), {"policy": policy_name})
    return {index: float(factor) for index, factor in rows}


def room(connection: Connection, btree: Btree) -> tuple[int, int | None]:
    """Bytes of disk that the rebuild may need, and how many are free; None where that cannot be seen."""
    wasted = btree.bloat.wasted if btree.bloat else 0
    folder = scalar(connection, sql.get("maintenance/vacuum/index_folder"), {"oid": btree.index.oid})
    return round(ROOM * (btree.size - wasted)), disk.free(connection, folder)


@dataclass(slots=True)
class IndexMaintenance:
    """The index work of one run: drops invalid indexes of interrupted rebuilds, and rebuilds bloated ones."""

    run: PolicyRun
    policy: Vacuum
    gains: list[IndexGain] = field(default_factory=list)
    remaining: int = 0

    def drop_leftovers(self) -> str | None:
        """Drops invalid indexes of interrupted rebuilds. Returns why it stopped early."""
        oids = [table.oid for table in policy_tables(self.run.connection, self.policy)]
        for leftover in invalid_indexes.find_leftovers(self.run.connection, oids):
            if (reason := self.run.asked_to_stop()) is not None:
                return reason
            self._drop(leftover)
        return None

    def rebuild(self) -> str | None:
        """Rebuilds the indexes that exceed the policy's threshold now. Returns why it stopped early."""
        connection = self.run.connection
        report = bloat.find_bloat(
            connection,
            policy_tables(connection, self.policy),
            corrections=corrections(connection, self.policy.name),
            careful=True,
        )
        waiting = past_threshold(report.btrees, self.policy.reindex)
        self.remaining += len(waiting)
        for btree in waiting:
            if (reason := self.run.asked_to_stop()) is not None:
                return reason
            self._rebuild(btree)
            self.remaining -= 1
        return None

    @property
    def undone(self) -> list[IndexGain]:
        """The indexes that could not be rebuilt or dropped."""
        return [gain for gain in self.gains if gain.outcome != "done"]

    def _drop(self, leftover: Leftover) -> None:
        done = IndexGain(
            index=str(leftover.index),
            table=str(leftover.table),
            action="drop",
            reason=leftover.reason,
            outcome="done",
            seconds=0.0,
            bytes_before=leftover.bytes,
            bytes_after=0,
        )

        def drop() -> int:
            if (kept := invalid_indexes.drop_leftover(self.run.connection, leftover)) is not None:
                raise SkippedError(kept)
            return 0

        self._attempt(done, leftover.table, drop)

    def _rebuild(self, listed: Btree) -> None:
        """Rebuilds it, if it still exceeds the threshold after pgstattuple has read it."""
        connection = self.run.connection
        btree = bloat.read_again(connection, listed)
        if btree.bloat is None or not past_threshold([btree], self.policy.reindex):
            self._report(f"{btree.index} is not rebuilt: {btree.bloat or 'its bloat is no longer known'}")
            return
        done = IndexGain(
            index=str(btree.index),
            table=str(btree.table),
            action="rebuild",
            reason=str(btree.bloat),
            outcome="done",
            seconds=0.0,
            bytes_before=btree.size,
            bytes_after=btree.size,
            expected=btree.expected,
        )
        self._attempt(done, btree.table, lambda: self._reindex(btree))

    def _reindex(self, btree: Btree) -> int:
        connection = self.run.connection
        other = connection.execute(sql.get("maintenance/vacuum/index_builds")).fetchone()
        if other is not None:
            raise SkippedError(
                f"pid {other[0]} is building an index now, and two builds at once would overload the server"
            )
        needed, free = room(connection, btree)
        if free is not None and free < needed:
            raise SkippedError(
                f"the rebuild may need {needed / 1e6:,.0f} MB of disk, and {free / 1e6:,.0f} MB are free"
            )
        seen = f"{free / 1e6:,.0f} MB are free" if free is not None else "free space unknown"
        self._report(f"REINDEX of {btree.index} begins; it may need {needed / 1e6:,.0f} MB of disk, {seen}")
        statement = compose.SQL(sql.get("maintenance/vacuum/reindex")).format(index=btree.index.identifier)
        try:
            connection.execute(statement)
        except psycopg.Error as error:
            if error.sqlstate == psycopg.errors.QueryCanceled.sqlstate or connection_was_lost(error):
                raise
            problem = self._cleaned_up(btree, error)
            oid, size = self._current(btree)
            if oid in {btree.index.oid, 0}:
                raise SkippedError(problem) from error
            # The new index is in use; that the old one could not be dropped is recorded separately.
            return size
        return self._current(btree)[1]

    def _current(self, btree: Btree) -> tuple[int, int]:
        """The oid of the index with that name, which a rebuild changes, and its bytes; 0: dropped."""
        values = {"schema": btree.index.schema, "name": btree.index.name}
        current = self.run.connection.execute(sql.get("maintenance/vacuum/index_now"), values).fetchone()
        return current or (0, 0)

    def _cleaned_up(self, btree: Btree, error: psycopg.Error) -> str:
        """Why it failed, after dropping the invalid index that it left, if that is possible now."""
        reason = (error.diag.message_primary or str(error)).strip()
        if isinstance(error, psycopg.errors.LockNotAvailable):
            reason = f"it waited {PATIENCE} for {self._waited_for(btree.table)}"
        for leftover in invalid_indexes.find_leftovers(self.run.connection, [btree.table.oid]):
            if leftover.copy_of == str(btree.index) and leftover.kept_because is None:
                self._drop(leftover)
        return reason

    def _waited_for(self, table: Relation) -> str:
        """The sessions that have the table open, or else those with a snapshot older than the rebuild."""
        values = {"oid": table.oid}
        openers = self.run.connection.execute(sql.get("maintenance/vacuum/openers"), values).fetchall()
        if openers:
            return ", ".join(f"pid {pid} ({' '.join(filter(None, who))})" for pid, *who in openers)
        return horizon.named(horizon.find_holders(self.run.connection)) or "a session that has just ended"

    def _attempt(self, done: IndexGain, table: Relation, work: IndexWork) -> None:
        """Does the work and adds its result to `gains`."""
        began = time.monotonic()
        with with_setting(self.run.connection, "lock_timeout", PATIENCE):
            try:
                gain = replace(done, bytes_after=work())
            except SkippedError as error:
                gain = _skipped(done, str(error))
            except psycopg.errors.LockNotAvailable:
                gain = _skipped(done, f"it waited {PATIENCE} for {self._waited_for(table)}")
            except psycopg.errors.InsufficientPrivilege as error:
                gain = _skipped(done, error.diag.message_primary or "permission denied")
        gain = replace(gain, seconds=round(time.monotonic() - began, 3))
        self.gains.append(gain)
        self._report(_described(gain))

    def _report(self, line: str) -> None:
        self.run.report(f"{self.policy.name}: {line}")


def _skipped(gain: IndexGain, problem: str) -> IndexGain:
    return replace(gain, outcome="skipped", bytes_after=gain.bytes_before, problem=problem)


def _described(gain: IndexGain) -> str:
    what = {"rebuild": "REINDEX", "drop": "DROP INDEX"}[gain.action]
    if gain.problem:
        return f"{gain.index}, {what} {gain.outcome}: {gain.problem}"
    return (
        f"{gain.index}, {what}, {gain.bytes_before / 1e6:,.1f} MB before, "
        f"{gain.bytes_after / 1e6:,.1f} MB after"
    )
