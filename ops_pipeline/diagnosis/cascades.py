"""Rows of other tables that foreign keys delete along."""

from collections.abc import Iterator, Sequence

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance.cascades import uncascade
from ops_pipeline.maintenance.reach import Reach, Step, protected, reach, root
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation


def _find_refused(examined: Examination) -> Iterator[Finding]:
    for policy, table, _ in examined.deleting():
        reached = reach(examined.connection, table)
        reasons = protected(examined.connection, policy, reached)
        for child, steps in reached.cascaded.items():
            if reason := reasons.get(root(examined.connection, child)):
                yield _refused(policy, table, child, steps, reason)
        yield from _circles(examined.connection, policy, reached)


def _find_deleted_along(examined: Examination) -> Iterator[Finding]:
    for policy, table, _ in examined.deleting():
        if policy.cascade is not None:
            continue
        reached = reach(examined.connection, table)
        reasons = protected(examined.connection, policy, reached)
        for child, steps in reached.cascaded.items():
            if root(examined.connection, child) not in reasons:
                yield Finding(
                    str(child),
                    f"{_along(policy, table, child, steps)}, whatever their age. `opsctl plan` counts them. "
                    "Say so in the policy, or have rows kept that others refer to",
                    ("cascade: delete", uncascade(steps)),
                )


def _refused(
    policy: DeletingPolicy, table: Relation, child: Relation, steps: Sequence[Step], reason: str
) -> Finding:
    said = (*(("cascade: archive",) if policy.archive else ()), "cascade: delete")
    return Finding(
        str(child),
        f"{_along(policy, table, child, steps)}, and {reason}: the policy is refused once there is such a "
        "row. Say in the policy what becomes of them, or have rows kept that others refer to",
        (*said, uncascade(steps)),
    )


def _circles(connection: Connection, policy: DeletingPolicy, reached: Reach) -> Iterator[Finding]:
    """Keys that lead back to a table on the way; rows that they reach again are refused."""
    for step in reached.circles:
        child = step.key.child
        if root(connection, child) == root(connection, reached.table):
            if not policy.archive and policy.cascade is not None:
                continue
            reason = (
                "some would be deleted before they are archived" if policy.archive else "it may keep them"
            )
        else:
            reason = "they refer to each other in a circle, whose end is not known"
        yield Finding(
            str(child),
            f"{_along(policy, reached.table, child, [step])}, and {reason}: the policy is refused once there "
            "is such a row. Have rows kept that others refer to",
            (uncascade([step]),),
        )


def _along(policy: DeletingPolicy, table: Relation, child: Relation, steps: Sequence[Step]) -> str:
    keys = ", ".join(dict.fromkeys(step.key.name for step in steps))
    return f"ON DELETE CASCADE ({keys}) deletes rows of {child} along with those of {table} ({policy.name})"


CASCADES = Diagnosis(
    id="cascades",
    severity="error",
    question="Do foreign keys delete along only what no policy keeps or archives, or what `cascade` allows?",
    remedy="`cascade: archive` or `cascade: delete` in the policy, or the foreign key without "
    "`ON DELETE CASCADE` ([cascades](policies.md#cascades)).",
    find=_find_refused,
)
DELETED_ALONG = Diagnosis(
    id="deleted_along",
    severity="info",
    question="Does the policy say so where foreign keys delete rows of other tables along?",
    remedy="`cascade: delete` in the policy says that it is meant. The plan counts such rows, the guard "
    "limits them.",
    find=_find_deleted_along,
)
