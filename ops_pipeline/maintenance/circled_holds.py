"""Holds that are added while a run deletes rows whose cascades lead back to their own table.

A batch looks for holds along every path of cascades, but once around a circle only; a chain of rows may be
longer. The plan has counted all of it: where a row of the chain is on hold, it was refused.
"""

from ops_pipeline.holds import holds
from ops_pipeline.holds.holds import Hold
from ops_pipeline.maintenance import references
from ops_pipeline.maintenance.plan import is_migrated
from ops_pipeline.maintenance.reach import reach
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation

KnownHolds = frozenset[tuple[int, str, str]] | None
"""Each hold's id, table and predicate; None where no cascade leads in a circle."""


class HoldAddedError(Exception):
    """A hold was added, or confirmed, after the plan; the batch may have reached its rows and deleted
    nothing. The message says what to do."""


def known(connection: Connection, table: Relation) -> KnownHolds:
    """The holds that a plan for the table, made afterwards, takes into account. Raises HoldUnclearError."""
    if not reach(connection, table).circles or not is_migrated(connection):
        return None
    return frozenset(map(_bound, _active(connection, table)))


def refuse_new(connection: Connection, table: Relation, planned: KnownHolds) -> None:
    """Raises HoldAddedError where a hold applies that the plan did not know. Call it in the deleting
    transaction, in which no hold can be added."""
    if planned is None:
        return
    for hold in _active(connection, table):
        if _bound(hold) not in planned:
            raise HoldAddedError(
                f"hold {hold.id} on {hold.table} was added or confirmed after the plan, and a chain of rows "
                f"of {table} that ON DELETE CASCADE deletes may end in its rows. This batch deleted nothing; "
                "the next run plans with the hold"
            )


def _active(connection: Connection, table: Relation) -> list[Hold]:
    tables = {each.oid: each for each in (table, *references.referring(connection, table))}
    return [hold for each in tables.values() for hold in holds.active(connection, each)]


def _bound(hold: Hold) -> tuple[int, str, str]:
    return hold.id, hold.table, str(hold.predicate)
