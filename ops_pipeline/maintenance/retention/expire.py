"""A retention policy carried out."""

from dataclasses import replace
from datetime import datetime

from ops_pipeline import policy
from ops_pipeline.database import Connection
from ops_pipeline.maintenance import catalog, partitions
from ops_pipeline.maintenance.pace import Pace
from ops_pipeline.maintenance.removal import Deleting
from ops_pipeline.maintenance.result import Work
from ops_pipeline.maintenance.retention import method
from ops_pipeline.maintenance.retention.expired import cutoff, expired, left
from ops_pipeline.maintenance.sweep import Run, Sweep
from ops_pipeline.maintenance.windows import Walk
from ops_pipeline.maintenance.windows.blocks import BlockRanges
from ops_pipeline.maintenance.windows.keys import KeyWindows
from ops_pipeline.maintenance.windows.slices import TimeSlices
from ops_pipeline.settings import Settings


def remove_expired(run: Run, rule: policy.Retention, settings: Settings) -> Work:
    """Removes the rows that are older than the rule keeps them. A row without a time stays.

    Where the policy says that days are partitions, those of the days to come are created first.
    """
    connection = run.connection
    table = catalog.relation(connection, rule.table)
    before = cutoff(connection, rule)
    if rule.partition == "day":
        created = partitions.ensure_ahead(connection, str(table), rule.ahead.days)
        run.report(f"{rule.name}: {created} day partitions created ahead")
    dead_before = catalog.dead_tuples(connection, table)
    rows = catalog.live_tuples(connection, table)
    planned, _ = left(connection, rule, before)
    chosen = method.choose(connection, rule, planned / max(rows, 1))
    run = replace(run, planned=planned)
    run.record.note_plan(
        connection, cutoff=before, planned=planned, method=f"{chosen.name}: {chosen.why}", details={}
    )
    walk = _walk(connection, rule, chosen, table, before)
    sweep = Sweep(
        run, walk, Deleting(connection, run.record), Pace(walk.sizes, settings.batch_target_seconds)
    )
    stopped_reason = sweep.work_through()
    rows, oldest = left(connection, rule, before)
    return Work(stopped_reason, rows, oldest, dead_before, catalog.dead_tuples(connection, table))


def _walk(
    connection: Connection,
    rule: policy.Retention,
    chosen: method.Method,
    table: catalog.Relation,
    before: datetime,
) -> Walk:
    rows = catalog.live_tuples(connection, table)
    gone = expired(rule, before)
    match chosen.name:
        case "time slices":
            return TimeSlices(connection, table, rule.column, gone)
        case "key windows":
            key = (rule.column, *catalog.primary_key(connection, table))
            return KeyWindows(connection, table, key, walked=gone, predicate=gone)
        case "block ranges":
            heaps = [
                heap
                for heap in catalog.heaps(connection, table, rule.column)
                if heap.lower is None or heap.lower < before
            ]
            return BlockRanges(heaps, gone, rows=rows)
