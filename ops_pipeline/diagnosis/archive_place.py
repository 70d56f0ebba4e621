"""Policies with `archive: true` without a usable `OPS_ARCHIVE_URL`."""

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
    question="Is `OPS_ARCHIVE_URL` set and valid where policies have `archive: true`?",
    remedy="Set `OPS_ARCHIVE_URL` to a durable folder or to a bucket ([archive](../archive.md)).",
    find=_find,
)
