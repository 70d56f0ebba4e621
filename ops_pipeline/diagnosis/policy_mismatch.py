"""Policies whose tables, columns, types or indexes do not exist or do not match."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance.kinds import kind_of


def _find(examined: Examination) -> Iterator[Finding]:
    for policy in examined.policies:
        for problem in kind_of(policy).problems(examined.connection, policy):
            yield Finding(policy.name, problem)


POLICY_MISMATCH = Diagnosis(
    id="policy_mismatch",
    severity="error",
    question="Do the tables, columns, types and indexes that the policies need exist?",
    remedy="Correct the line of policies.yaml that the problem names, or change the table as it says.",
    find=_find,
)
