"""Plans an orphans policy: counts what it would delete now. Reads only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from psycopg import sql as compose

from ops_pipeline.counted import counted
from ops_pipeline.maintenance import cascades, history, references, refusals, remaining
from ops_pipeline.maintenance.batches.scans import and_, or_
from ops_pipeline.maintenance.guard import guard
from ops_pipeline.maintenance.orphans import grace_period, track
from ops_pipeline.maintenance.orphans.chain import with_descendants
from ops_pipeline.maintenance.orphans.indexes import missing_indexes
from ops_pipeline.maintenance.orphans.mark import choose_search
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.orphans.reference import Reference, check_holds, find_reference
from ops_pipeline.maintenance.plan import DeletePlan, Method, PlannedDeletion, Planning, RowCount, is_migrated
from ops_pipeline.maintenance.row_counter import RowCounter
from ops_pipeline.policies.values import written
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphansPlan(DeletePlan):
    """What an orphans policy would do.

    `within_grace_period`: how many are orphans whose `grace_period` is not known to be over; only a later
    run deletes them.
    """

    within_grace_period: int = 0
    grace_period: timedelta

    def later(self) -> str:
        now = counted(self.rows.eligible - self.rows_deletable_later, "orphan")
        return f"{now} now, {self.rows_deletable_later:,} more once {self.once_run()}"

    def explanations(self) -> Iterator[str]:
        if self.within_grace_period:
            them = "it" if self.within_grace_period == 1 else "them"
            yield (
                f"{counted(self.within_grace_period, 'orphan is', 'orphans are')} within the grace period of "
                f"{written(self.grace_period)}: the next run marks {them}, and the first run after the "
                f"grace period deletes {them}"
            )
        yield from DeletePlan.explanations(self)


def plan_orphans(planning: Planning, policy: Orphans) -> OrphansPlan:
    """What the policy would do if it ran now, after those before it; all counts are from one snapshot.

    Raises LookupError when a table does not exist, RefusedError where rows may be hidden, HoldUnclearError,
    and psycopg.Error.
    """
    with planning.snapshot() as connection:
        reference = find_reference(connection, policy)
        refusals.refuse_hidden_rows(connection, policy, reference.child, reference.parent)
        migrated = is_migrated(connection)
        if migrated:
            check_holds(connection, reference)
        before = [each for each in planning.before if each.table == reference.parent]
        losing = [reference.child_of(each.table, each.condition) for each in before]
        freed_by = references.waited_for(connection, reference.child, planning.before)
        orphaned = or_(reference.orphaned, *losing)
        counter = orphan_counter(connection, reference, orphaned, before=tuple(planning.before))
        rows = counter.count("maintenance/orphans/count", planning.limit_seconds) or counter.estimate()
        now = _orphans_now(planning, reference) if losing or freed_by else rows
        rows_deletable_later = rows.eligible - now.eligible if rows.exact and now.exact else 0
        cascade = cascades.count_cascaded(planning, policy, counter, rows.eligible)
        search = choose_search(connection, reference)
        return OrphansPlan(
            policy=policy.name,
            observe=policy.observe,
            rows_deletable_later=rows_deletable_later,
            after=tuple(dict.fromkeys([*(each.policy for each in before), *freed_by])),
            within_grace_period=_in_grace(connection, policy, reference, now) if migrated else 0,
            grace_period=policy.grace_period,
            method=Method(search.children.name, search.why),
            rows=rows,
            seconds=history.seconds_for(connection, policy.name, rows.eligible) if migrated else None,
            cascaded=cascade.rows,
            refusals=(
                *refusals.table_refusals(planning, policy, reference.child, reference.parent),
                *cascade.refusals,
            ),
            needs_approval=guard.reasons(
                connection, policy, rows, None, cascaded=cascade.rows, now=planning.clock()
            ),
            advice=(
                *map(str, missing_indexes(connection, reference)),
                *track.advice(connection, policy),
                *remaining.advice(connection, reference.child),
            ),
            dead_tuples=catalog.dead_tuples(connection, reference.child),
        )


def plan_removal(
    planning: Planning, policy: Orphans, counter: RowCounter, deletable: int, deleted: int
) -> DeletePlan:
    """What a run does in all: it has `deleted` orphans, and is about to delete `deletable` more that it has
    listed, unless the guard stops it."""
    rows = counter.of_table(deletable)
    rows = replace(
        rows,
        eligible=deletable + deleted,
        total=rows.total + deleted,
        bytes=round(rows.row_bytes * (deletable + deleted)),
    )
    cascade = cascades.count_cascaded(planning, policy, counter, deletable)
    return DeletePlan(
        policy=policy.name,
        method=Method("missing parents"),
        rows=rows,
        cascaded=cascade.rows,
        refusals=cascade.refusals,
        needs_approval=guard.reasons(
            planning.connection, policy, rows, None, cascaded=cascade.rows, now=planning.clock()
        ),
    )


def _orphans_now(planning: Planning, reference: Reference) -> RowCount:
    counter = orphan_counter(planning.connection, reference, reference.orphaned)
    return counter.count("maintenance/orphans/count", planning.limit_seconds) or counter.estimate()


def _in_grace(connection: Connection, policy: Orphans, reference: Reference, now: RowCount) -> int:
    """How many of the orphans the next run does not delete yet."""
    if not now.exact or policy.grace_period <= grace_period.PATIENCE:
        return 0
    status = grace_period.grace_status(connection, policy)
    listed = reference.refers_to(grace_period.missing_since("<=", status))
    return max(
        0, now.eligible - orphan_counter(connection, reference, and_(listed, reference.missing)).eligible()
    )


def orphan_counter(
    connection: Connection,
    reference: Reference,
    orphaned: compose.Composable,
    descendants: compose.Composable = references.EVERYTHING,
    before: Sequence[PlannedDeletion] = (),
) -> RowCounter:
    """Counts the rows that meet `orphaned`, and why some of them are kept; rows deleted `before` keep none.

    In a table that refers to itself, the rows of `descendants` that become orphans are counted as well.
    """
    orphaned = with_descendants(connection, reference, orphaned, descendants)
    null = compose.SQL("false") if reference.null_is_orphan else reference.refers_to_nothing
    fragments = {"null": null, "orphaned": orphaned}
    return RowCounter(connection, reference.child, fragments, condition=orphaned, null=null, before=before)
