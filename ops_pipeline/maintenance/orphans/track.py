"""The record of deleted parents (`track: true`): decides whether it is complete, and audits it by sweeps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from psycopg import sql as compose

import sql
from ops_pipeline.counted import counted
from ops_pipeline.maintenance.batches.scans import listed
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.orphans.reference import Reference
from ops_pipeline.maintenance.orphans.triggers import triggers
from ops_pipeline.maintenance.plan import is_migrated
from ops_pipeline.opsctl import opsctl
from ops_pipeline.postgres.connection import Connection, row, scalar
from ops_pipeline.postgres.relation import Relation, find_relation


@dataclass(frozen=True, slots=True)
class MissingParentSource:
    """Where a run learns which parents are missing, and why from there.

    `audits`: the record is complete, and is compared with what the sweep finds. `begins`: the sweep starts at
    the table's beginning.
    """

    name: Literal["sweep", "record"]
    reason: str
    audits: bool = False
    begins: bool = True


def missing_parent_source(
    connection: Connection, policy: Orphans, reference: Reference
) -> MissingParentSource:
    """Where to look for missing parents now: in the record only while it must be complete."""
    if not policy.track:
        return MissingParentSource("sweep", "the policy does not track its parent")
    if reference.child_index is None:
        return MissingParentSource(
            "sweep", f"no index of {reference.child} finds the children of a recorded parent"
        )
    return _tracked_source(connection, policy, reference)


def _tracked_source(connection: Connection, policy: Orphans, reference: Reference) -> MissingParentSource:
    tracking = connection.execute(sql.get("maintenance/orphans/track"), {"policy": policy.name}).fetchone()
    now, missing = _fingerprint(connection, policy, reference.parent)
    if tracking is None or missing:
        where = ", ".join(missing) or str(reference.parent)
        return MissingParentSource("sweep", f"triggers are missing or disabled on {where}: {install(policy)}")
    fingerprint, _, swept_at, overdue = tracking
    if swept_at is None:
        return MissingParentSource("sweep", "no sweep has ended since tracking began")
    if scalar(connection, sql.get("maintenance/orphans/truncated"), {"policy": policy.name}):
        return MissingParentSource("sweep", f"{reference.parent} was truncated")
    if fingerprint != now:
        return MissingParentSource(
            "sweep",
            f"the triggers or heaps of {reference.parent} have changed since the last sweep, so deletes may "
            "not have been recorded: a trigger was disabled for a while, a partition was dropped, or the "
            "table was rewritten",
        )
    if overdue:
        return MissingParentSource("sweep", "the record is compared with the table once a week", audits=True)
    return MissingParentSource("record", f"triggers on {reference.parent} record its deleted keys")


def begin_sweep(connection: Connection, policy: Orphans, source: MissingParentSource) -> None:
    """Records that a sweep begins; when it ends, the record is complete."""
    if not policy.track:
        return
    fingerprint, missing = _fingerprint(connection, policy, find_relation(connection, policy.parent))
    values = {
        "policy": policy.name,
        "fingerprint": None if missing else fingerprint,
        "audits": source.audits,
    }
    connection.execute(sql.get("maintenance/orphans/sweep_begins"), values)


def end_sweep(connection: Connection, policy: Orphans, reference: Reference) -> dict[str, Any]:
    """Records that a sweep has ended. Returns the result of its audit of the record, for the history."""
    if not policy.track:
        return {}
    fingerprint, _ = _fingerprint(connection, policy, reference.parent)
    values = {"policy": policy.name, "fingerprint": fingerprint}
    ended = connection.execute(sql.get("maintenance/orphans/sweep_ended"), values).fetchone()
    if ended is None or not ended[0]:
        return {}
    statement = compose.SQL(sql.get("maintenance/orphans/unrecorded")).format(
        texts=listed(compose.SQL("{}::text").format(key) for key in reference.keys),
        keys=listed(reference.keys),
        arrays=reference.unnested,
    )
    unrecorded, some = row(connection, statement, {"policy": policy.name})
    return {"audited": True, "unrecorded": unrecorded, "unrecorded_keys": some or []}


def last_audit(connection: Connection, policy: Orphans) -> tuple[int, list[list[str]]]:
    """How many missing parents the last audit found that were not recorded, and some of their keys."""
    audit = connection.execute(sql.get("maintenance/orphans/last_audit"), {"policy": policy.name}).fetchone()
    return audit or (0, [])


def settle_recorded(connection: Connection, reference: Reference, by: Any) -> None:
    """Deletes the recorded keys that have no orphans; the grace period of the others begins again."""
    statement = compose.SQL(sql.get("maintenance/orphans/settle_recorded")).format(
        arrays=reference.unnested,
        keys=listed(reference.keys),
        child=reference.child.identifier,
        same_key=reference.same_key,
        missing=reference.missing,
    )
    connection.execute(statement, {"policy": reference.policy, "by": by})


def advice(connection: Connection, policy: Orphans) -> Iterator[str]:
    """What a plan says about the policy's triggers, a line each."""
    if not is_migrated(connection):
        return
    if not policy.track:
        if installed := triggers(connection, policy.name):
            recording = counted(len(installed), "trigger still records", "triggers still record")
            yield (
                f"{recording} deleted keys for this policy, which no longer has `track: true`. To stop this: "
                f"{opsctl('track', 'remove', policy.name)}"
            )
        return
    if tables := tables_without_triggers(connection, policy):
        yield (
            f"the deleted keys of {', '.join(tables)} are not recorded, so the whole table is swept. To "
            f"record them: {install(policy)}"
        )
    else:
        yield f"triggers record the deleted keys of {policy.parent} (opsctl track list)"


def install(policy: Orphans) -> str:
    """The command that creates or repairs the policy's triggers."""
    return opsctl("track", "install", policy.name)


def tables_without_triggers(connection: Connection, policy: Orphans) -> tuple[str, ...]:
    """The parent and its partitions where a trigger of the policy is missing or disabled."""
    return _fingerprint(connection, policy, find_relation(connection, policy.parent))[1]


def _fingerprint(connection: Connection, policy: Orphans, parent: Relation) -> tuple[str, tuple[str, ...]]:
    values = {"policy": policy.name, "parent": parent.oid}
    fingerprint, missing = row(connection, sql.get("maintenance/orphans/fingerprint"), values)
    return fingerprint, tuple(missing)
