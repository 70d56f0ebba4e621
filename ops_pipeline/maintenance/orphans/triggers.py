"""The triggers that record the keys of deleted parents. Only `opsctl track` creates or drops them."""

import hashlib
from dataclasses import dataclass

from psycopg import sql as compose

import sql
from ops_pipeline.audit import trail
from ops_pipeline.maintenance.batches.scans import listed
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.locks import TableLock, with_short_lock
from ops_pipeline.postgres.relation import Relation, find_relation


class TrackRefusedError(Exception):
    """Nothing was installed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger of a policy, and the table it is on."""

    policy: str
    name: str
    table: Relation


def install(connection: Connection, policy: Orphans, *, by: str) -> list[Trigger]:
    """Drops the policy's triggers and creates all of them again, on the parent and each of its partitions.

    In one transaction, which waits for locks only briefly and tries again. From the end of the next sweep
    the record counts as complete. Raises TrackRefusedError, or LockedError naming the blocking session.
    """
    if not policy.track:
        raise TrackRefusedError(f"{policy.name} does not track its parent. Set `track: true` in the policy")
    parent = find_relation(connection, policy.parent)

    def work() -> list[Trigger]:
        _drop(connection, policy.name)
        for oid, schema, name in connection.execute(
            sql.get("maintenance/orphans/tree"), {"oid": parent.oid}
        ).fetchall():
            table = Relation(oid, schema, name)
            _create(connection, policy, table, "delete")
            _create(connection, policy, table, "truncate")
        _create(connection, policy, parent, "update")  # PostgreSQL makes those of the partitions
        connection.execute(sql.get("maintenance/orphans/save_track"), {"policy": policy.name})
        installed = triggers(connection, policy.name)
        trail.record(connection, "track.installed", _described(policy.name, installed), by=by)
        return installed

    lock = _lock_to_drop(connection, policy.name) or TableLock(parent.oid, "ShareRowExclusiveLock")
    return with_short_lock(connection, lock, work, purpose=f"Creating triggers on {parent}")


def remove(connection: Connection, policy_name: str, *, by: str) -> list[Trigger]:
    """Drops the policy's triggers and deletes what they recorded. Returns the triggers that were dropped.

    Waits for locks as `install` does. Raises LockedError naming the blocking session; the triggers continue
    to record then.
    """

    def work() -> list[Trigger]:
        dropped = _drop(connection, policy_name)
        connection.execute(sql.get("maintenance/orphans/forget_track"), {"policy": policy_name})
        if dropped:
            trail.record(connection, "track.removed", _described(policy_name, dropped), by=by)
        return dropped

    lock = _lock_to_drop(connection, policy_name)
    if lock is None:
        with connection.transaction():
            return work()
    return with_short_lock(connection, lock, work, purpose=f"Dropping the triggers of {policy_name}")


def _lock_to_drop(connection: Connection, policy_name: str) -> TableLock | None:
    """The lock that dropping the policy's triggers needs; None where it has no triggers."""
    tables = list(dict.fromkeys(trigger.table.oid for trigger in triggers(connection, policy_name)))
    if not tables:
        return None
    first, *others = tables
    return TableLock(first, "AccessExclusiveLock", tuple(others))


def triggers(connection: Connection, policy_name: str) -> list[Trigger]:
    """The triggers of that policy."""
    rows = connection.execute(sql.get("maintenance/orphans/triggers"), {"policy": policy_name})
    return [Trigger(policy_name, name, Relation(*table)) for name, *table in rows]


def _create(connection: Connection, policy: Orphans, table: Relation, event: str) -> None:
    changed = [
        compose.SQL("old.{0} IS DISTINCT FROM new.{0}").format(compose.Identifier(column))
        for column in policy.parent_columns
    ]
    fragments = {
        "name": _name(policy.name, event),
        "table": table.identifier,
        "arguments": listed(map(compose.Literal, (policy.name, *policy.parent_columns))),
        "changed": compose.SQL(" OR ").join(changed),
    }
    for statement in (f"trigger_on_{event}", "trigger_always"):
        connection.execute(compose.SQL(sql.get(f"maintenance/orphans/{statement}")).format(**fragments))


def _drop(connection: Connection, policy_name: str) -> list[Trigger]:
    dropped = triggers(connection, policy_name)
    statement = compose.SQL(sql.get("maintenance/orphans/trigger_drop"))
    for trigger in dropped:
        name = compose.Identifier(trigger.name)
        connection.execute(statement.format(name=name, table=trigger.table.identifier))
    return dropped


def _name(policy_name: str, event: str) -> compose.Identifier:
    # A policy's name may be too long for a trigger's name; the trigger's arguments name the policy.
    digest = hashlib.sha256(policy_name.encode()).hexdigest()[:8]
    return compose.Identifier(f"ops_track_{digest}_{event}")


def _described(policy_name: str, changed: list[Trigger]) -> dict[str, object]:
    return {"policy": policy_name, "triggers": [f"{trigger.name} on {trigger.table}" for trigger in changed]}
