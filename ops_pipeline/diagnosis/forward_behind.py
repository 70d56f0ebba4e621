"""Targets of `opsctl forward` that do not get the newest events."""

from collections.abc import Iterator

from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.forward import position
from ops_pipeline.opsctl import opsctl


def _find(examined: Examination) -> Iterator[Finding]:
    for target in position.targets(examined.migrated_connection()):
        if target.is_late:
            yield Finding(
                f"target {target.name}",
                f"{target.in_words}. Arrivals are kept for it for 7 days. See the log of its process, or "
                "start it; if it is not needed any more",
                (opsctl("forward", "--forget", target.name),),
            )


FORWARD_BEHIND = Diagnosis(
    id="forward_behind",
    severity="warning",
    question="Does every target of `opsctl forward` have the events of the last hour?",
    remedy="Start its process, or see in its log what the receiver answers ([forwarding](../forward.md)); "
    "`opsctl forward --forget NAME` if the target is not needed any more. After 7 days arrivals are not kept "
    "for it any more, and the gap has to be sent from the log with `--since`.",
    find=_find,
)
