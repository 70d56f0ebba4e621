"""Policies that archive without a place to archive to."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.policies.model import DeletingPolicy
from ops_pipeline.storage import storage


def _find(examined: Examination) -> Iterator[Finding]:
    for policy in examined.policies:
        if isinstance(policy, DeletingPolicy):
            for problem in storage.problems(examined.settings.archive_url, archive=policy.archive):
                yield Finding(policy.name, problem, ("export OPS_ARCHIVE_URL=/srv/archive",))


ARCHIVE_PLACE = Diagnosis(
    id="archive_place",
    severity="error",
    question="Is there a place for what policies with `archive: true` delete?",
    remedy="Set `OPS_ARCHIVE_URL` to a folder that is kept, or a bucket ([archive](../archive.md)).",
    find=_find,
)
