"""What an orphans policy would delete now. Reads only."""

from psycopg import sql as compose

from ops_pipeline.maintenance import history, references, refusals, remaining
from ops_pipeline.maintenance.guard import guard
from ops_pipeline.maintenance.orphans import track
from ops_pipeline.maintenance.orphans.chain import with_descendants
from ops_pipeline.maintenance.orphans.indexes import missing_indexes
from ops_pipeline.maintenance.orphans.mark import choose_search
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.orphans.reference import Reference, check_holds, find_reference
from ops_pipeline.maintenance.plan import DeletePlan, Method, Planning, RowCount, is_migrated
from ops_pipeline.maintenance.row_counter import RowCounter
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection


def plan_orphans(planning: Planning, policy: Orphans) -> DeletePlan:
    """What the policy would do if it ran now; everything of one moment.

    An orphan whose parent this run's retention has yet to delete is counted by the run itself. Raises
    LookupError when a table does not exist, RefusedError where rows may be hidden, HoldUnclearError, and
    psycopg.Error.
    """
    with planning.snapshot() as connection:
        reference = find_reference(connection, policy)
        refusals.refuse_hidden_rows(connection, policy, reference.child, reference.parent)
        migrated = is_migrated(connection)
        if migrated:
            check_holds(connection, reference)
        counter = orphan_counter(connection, reference, reference.orphaned)
        rows = counter.count("maintenance/orphans/count", planning.limit_seconds) or counter.estimate()
        search = choose_search(connection, reference)
        return DeletePlan(
            policy=policy.name,
            method=Method(search.children.name, search.why),
            rows=rows,
            seconds=history.seconds_for(connection, policy.name, rows.eligible) if migrated else None,
            cascades=references.cascades(connection, reference.child),
            refusals=tuple(
                refusals.plan_refusals(planning, policy, counter, rows.eligible, parent=reference.parent)
            ),
            needs_approval=guard.reasons(connection, policy, rows, None, now=planning.clock())
            if migrated
            else (),
            advice=(
                *missing_indexes(connection, reference),
                *track.advice(connection, policy),
                *remaining.advice(connection, reference.child),
            ),
            dead_tuples=catalog.dead_tuples(connection, reference.child),
        )


def plan_removal(planning: Planning, policy: Orphans, rows: RowCount) -> DeletePlan:
    """What a run does next: it deletes so many of the orphans that it has listed, if the guard lets it."""
    return DeletePlan(
        policy=policy.name,
        method=Method("missing parents"),
        rows=rows,
        needs_approval=guard.reasons(planning.connection, policy, rows, None, now=planning.clock()),
    )


def orphan_counter(
    connection: Connection,
    reference: Reference,
    orphaned: compose.Composable,
    descendants: compose.Composable = references.EVERYTHING,
) -> RowCounter:
    """Counts the orphans that are meant, and what keeps some of them.

    In a table that is its own parent, those `descendants` that they leave behind are counted as well.
    """
    orphaned = with_descendants(connection, reference, orphaned, descendants)
    unset = compose.SQL("false") if reference.null_is_orphan else reference.refers_to_nothing
    fragments = {"unset": unset, "orphaned": orphaned}
    return RowCounter(connection, reference.child, fragments, due=orphaned, unset=unset)
