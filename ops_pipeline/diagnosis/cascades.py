"""Foreign keys with ON DELETE CASCADE that also delete rows of other tables."""

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


def _find_unset(examined: Examination) -> Iterator[Finding]:
    for policy, table, _ in examined.deleting():
        if policy.cascade is not None:
            continue
        reached = reach(examined.connection, table)
        reasons = protected(examined.connection, policy, reached)
        for child, steps in reached.cascaded.items():
            if root(examined.connection, child) not in reasons:
                yield Finding(
                    str(child),
                    f"{_cascade(policy, table, child, steps)}, regardless of their age. `opsctl plan` counts "
                    "them. Allow it in the policy, or change the foreign key to keep rows that are "
                    "referred to",
                    ("cascade: delete", uncascade(steps)),
                )


def _refused(
    policy: DeletingPolicy, table: Relation, child: Relation, steps: Sequence[Step], reason: str
) -> Finding:
    allowed = (*(("cascade: archive",) if policy.archive else ()), "cascade: delete")
    return Finding(
        str(child),
        f"{_cascade(policy, table, child, steps)}, and {reason}: the policy is refused once such a row "
        "exists. Set `cascade` in the policy, or change the foreign key to keep rows that are referred to",
        (*allowed, uncascade(steps)),
    )


def _circles(connection: Connection, policy: DeletingPolicy, reached: Reach) -> Iterator[Finding]:
    """Foreign keys that lead back to a table already reached; the policy is refused if rows use them."""
    for step in reached.circles:
        child = step.key.child
        if root(connection, child) == root(connection, reached.table):
            reason = (
                "some would be deleted before they are archived"
                if policy.archive
                else "the policy may keep them"
            )
        else:
            reason = "the foreign keys form a cycle, which may delete further rows"
        yield Finding(
            str(child),
            f"{_cascade(policy, reached.table, child, [step])}, and {reason}: the policy is refused once "
            "such a row exists. Change the foreign key to keep rows that are referred to",
            (uncascade([step]),),
        )


def _cascade(policy: DeletingPolicy, table: Relation, child: Relation, steps: Sequence[Step]) -> str:
    keys = ", ".join(dict.fromkeys(step.key.name for step in steps))
    return (
        f"ON DELETE CASCADE ({keys}) also deletes rows of {child} when rows of {table} are deleted "
        f"({policy.name})"
    )


CASCADES = Diagnosis(
    id="cascades",
    severity="error",
    question="Does `ON DELETE CASCADE` delete only rows that no policy keeps or archives, or that `cascade` "
    "allows?",
    remedy="Set `cascade: archive` or `cascade: delete` in the policy, or remove `ON DELETE CASCADE` from "
    "the foreign key ([cascades](policies.md#cascades)).",
    find=_find_refused,
)
DELETED_BY_CASCADE = Diagnosis(
    id="deleted_by_cascade",
    severity="info",
    question="Is `cascade` set where `ON DELETE CASCADE` deletes rows of other tables?",
    remedy="Set `cascade: delete` in the policy if this is intended. The plan counts such rows, and the "
    "guard limits them.",
    find=_find_unset,
)
