"""Chooses how a policy's rows are deleted: with or without archiving. Arrow is loaded only for the former."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops_pipeline.maintenance.batches.actions import Action
from ops_pipeline.maintenance.batches.actions.delete import Delete
from ops_pipeline.maintenance.batches.actions.deleted_by_cascade import cascade_counter
from ops_pipeline.maintenance.batches.batch import PolicyRun
from ops_pipeline.maintenance.circled_holds import KnownHolds
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.policies.model import DeletingPolicy, ThrottleLimits
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.settings import Settings
from ops_pipeline.throttle.batch_size import BatchSize, Sizes

if TYPE_CHECKING:
    from ops_pipeline.maintenance.batches.actions.archive_and_delete import ArchiveAndDelete

ARCHIVE_LIMIT = 5.0
"""A batch that archives may take this many times its target: it waits for the storage with rows locked."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """The action that deletes the rows of a range, and how many seconds a batch should take.

    `archiving`: the same action, where it archives the rows first; else None.
    """

    action: Action
    batch_seconds: float
    limits: ThrottleLimits
    archiving: "ArchiveAndDelete | None" = None

    def batch_size(self, sizes: Sizes) -> BatchSize:
        """The batch size for a scan with these sizes."""
        allowed = sizes.within(self.limits)
        if self.archiving is None:
            return BatchSize(allowed, self.batch_seconds)
        return BatchSize(allowed, self.batch_seconds, ARCHIVE_LIMIT)


@contextmanager
def deleting(
    run: PolicyRun,
    policy: DeletingPolicy,
    table: Relation,
    plan: DeletePlan,
    planned: KnownHolds,
    settings: Settings,
) -> Iterator[Deletion]:
    """Yields what deletes the policy's rows; raises what `archiving` raises where they are archived.

    `planned`: the holds that the plan knew.
    """
    if not policy.archive:
        watch = cascade_counter(run.connection, policy, table)
        delete = Delete(run.connection, run.record, table, watch, planned, plan.rows.row_bytes)
        yield Deletion(delete, settings.batch_target_seconds, policy.throttle)
        return
    from ops_pipeline.maintenance.batches.actions.archive_and_delete import (  # noqa: PLC0415 - loads Arrow
        archiving,
    )

    with archiving(run, policy, table, plan, planned, settings) as action:
        yield Deletion(action, settings.archive_batch_target_seconds, policy.throttle, action)
