"""Plans a retention policy: counts what it would delete now. Reads only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from psycopg import sql as compose

from ops_pipeline.finding import Finding
from ops_pipeline.maintenance import cascades, history, references, refusals, remaining
from ops_pipeline.maintenance.batches.scans import target
from ops_pipeline.maintenance.guard import guard
from ops_pipeline.maintenance.plan import DeletePlan, PlannedDeletion, Planning, RowCount, is_migrated
from ops_pipeline.maintenance.retention.expired import cutoff_now, expired
from ops_pipeline.maintenance.retention.method import choose_method
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.maintenance.row_counter import RowCounter
from ops_pipeline.postgres import catalog
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation, find_relation


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPlan(DeletePlan):
    """What a retention policy would do with that `cutoff`."""

    cutoff: datetime


def plan_retention(planning: Planning, policy: Retention, cutoff: datetime | None = None) -> RetentionPlan:
    """What the policy would do if it ran now, or with that cutoff; all counts are from one snapshot.

    Raises LookupError when the table does not exist, RefusedError where rows of it may be hidden,
    HoldUnclearError, and psycopg.Error.
    """
    with planning.snapshot() as connection:
        table = find_relation(connection, policy.table)
        refusals.refuse_hidden_rows(connection, policy, table)
        cutoff = cutoff or cutoff_now(connection, policy)
        after = references.waited_for(connection, table, planning.before)
        counter = _counter(connection, policy, table, cutoff, tuple(planning.before) if after else ())
        rows = _count(planning, policy, counter, cutoff)
        now = count_expired(planning, policy, cutoff) if after else rows
        cascade = cascades.count_cascaded(planning, policy, counter, rows.eligible)
        return RetentionPlan(
            policy=policy.name,
            observe=policy.observe,
            method=choose_method(connection, policy, table, rows.fraction),
            rows=rows,
            rows_deletable_later=rows.eligible - now.eligible if rows.exact and now.exact else 0,
            after=after,
            cutoff=cutoff,
            seconds=history.seconds_for(connection, policy.name, rows.eligible)
            if is_migrated(connection)
            else None,
            cascaded=cascade.rows,
            refusals=(*refusals.table_refusals(planning, policy, table), *cascade.refusals),
            needs_approval=guard.reasons(
                connection, policy, rows, cutoff, cascaded=cascade.rows, now=planning.clock()
            ),
            advice=(*map(str, foreign_partitions(connection, table)), *remaining.advice(connection, table)),
            dead_tuples=catalog.dead_tuples(connection, table),
        )


def foreign_partitions(connection: Connection, table: Relation) -> Iterator[Finding]:
    """The partitions of the table that are foreign tables."""
    for partition in catalog.foreign_partitions(connection, table):
        yield Finding(
            str(partition),
            f"{partition} is a foreign table: its rows are neither counted nor deleted. To detach it from "
            f"{table}",
            (refusals.detach(connection, table, partition),),
        )


def count_expired(planning: Planning, policy: Retention, cutoff: datetime) -> RowCount:
    """How many of the rows in the table now would be deleted with that cutoff. Raises as `plan_retention`
    does."""
    with planning.snapshot() as connection:
        counter = _counter(connection, policy, find_relation(connection, policy.table), cutoff)
        return _count(planning, policy, counter, cutoff)


def backlog(connection: Connection, policy: Retention, cutoff: datetime) -> int:
    """How many rows a run with that cutoff should have deleted: neither rows on hold nor rows that kept rows
    refer to. Raises HoldUnclearError and psycopg.Error."""
    return _counter(connection, policy, find_relation(connection, policy.table), cutoff).eligible()


def _counter(
    connection: Connection,
    policy: Retention,
    table: Relation,
    cutoff: datetime,
    before: Sequence[PlannedDeletion] = (),
) -> RowCounter:
    condition = expired(policy, cutoff)
    return RowCounter(
        connection,
        table,
        {"column": target(policy.column), "expired": condition},
        condition=condition,
        null=compose.SQL("{} IS NULL").format(target(policy.column)),
        before=before,
    )


def _count(planning: Planning, policy: Retention, counter: RowCounter, cutoff: datetime) -> RowCount:
    counted = counter.count("maintenance/retention/count", planning.limit_seconds)
    return counted or replace(counter.estimate(), oldest=counter.oldest(policy.column, cutoff))
