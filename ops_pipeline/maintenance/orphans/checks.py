"""The checks of an orphans policy: what must be true after its run."""

from collections.abc import Iterator
from functools import partial

from ops_pipeline.counted import counted
from ops_pipeline.maintenance.check import (
    ROWS_REMAIN,
    CheckResult,
    PolicyCheck,
    deleting_checks,
    observed_only,
    rows_remain,
)
from ops_pipeline.maintenance.orphans import track
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.orphans.reference import count_children, find_reference
from ops_pipeline.postgres.connection import Connection


def checks(policy: Orphans) -> Iterator[PolicyCheck]:
    """The checks of that policy."""
    yield PolicyCheck(
        "no_orphaned_rows",
        f"Every row of {policy.table} without its parent in {policy.parent} ({policy.reference}) is listed "
        "to be deleted after the grace period. Whether listed rows remain is in the run's outcome.",
        partial(_no_orphaned_rows, policy),
        runbook=ROWS_REMAIN,
    )
    if policy.track:
        yield PolicyCheck(
            "record_is_complete",
            f"The triggers on {policy.parent} had recorded every missing parent that the last sweep found.",
            partial(_record_is_complete, policy),
        )
    yield from deleting_checks(policy)


def _no_orphaned_rows(policy: Orphans, connection: Connection) -> CheckResult:
    reference = find_reference(connection, policy)
    rows = count_children(connection, reference, reference.unmarked)
    has, its = ("has", "its") if rows == 1 else ("have", "their")
    found = rows_remain(
        connection,
        policy,
        rows,
        f"{counted(rows, 'row')} of {policy.table} {has} no parent in {policy.parent} ({policy.reference}), "
        f"and {its} grace period has not begun"
        if rows
        else f"Every orphan of {policy.table} is listed to be deleted after its grace period",
    )
    return observed_only(found) if policy.observe else found


def _record_is_complete(policy: Orphans, connection: Connection) -> CheckResult:
    unrecorded, some = track.last_audit(connection, policy)
    return CheckResult(
        unrecorded == 0,
        f"The triggers did not record {counted(unrecorded, 'missing parent')} in {policy.parent}"
        if unrecorded
        else f"The triggers on {policy.parent} recorded every missing parent that the last sweep found",
        {"unrecorded": unrecorded, "some_of_them": str(some)},
    )
