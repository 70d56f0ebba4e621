"""Partitioned tables of which one read takes a large part of the server's lock table."""

import math
from collections.abc import Iterator

import sql
from ops_pipeline.audit import trail
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Examination
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.relation import audit_logs, find_relation

AT_ONCE = 8
"""So many reads of every partition must be possible at the same time: the API has at most four exports and
four queries of long periods running."""
ROOM = 2
"""The remedy makes room for so many times more, because partitions are added and others need locks too."""


def _find(examined: Examination) -> Iterator[Finding]:
    tables = {table.oid: table for _, table, _ in examined.deleting()}
    if trail.is_there(examined.connection):
        own = find_relation(examined.connection, audit_logs())
        tables.setdefault(own.oid, own)
    for oid, partitions, locks, per_transaction, transactions in examined.connection.execute(
        sql.get("diagnosis/lock_table"), {"tables": list(tables)}
    ):
        if locks * AT_ONCE > per_transaction * transactions:
            required = math.ceil(locks * AT_ONCE * ROOM / transactions)
            yield Finding(
                str(tables[oid]),
                f"a read of {tables[oid]} without a range of time takes {locks:,} locks ({partitions:,} "
                f"partitions and their indexes), and the server has room for about "
                f"{per_transaction * transactions:,} (max_locks_per_transaction is {per_transaction}). "
                f"{AT_ONCE} such reads at once fail with "
                '"out of shared memory", and so may any other statement then. As a superuser, followed by a '
                "restart of the server",
                (f"ALTER SYSTEM SET max_locks_per_transaction = {required};",),
            )


LOCK_TABLE = Diagnosis(
    id="lock_table",
    severity="warning",
    question=f"Do the locks of {AT_ONCE} reads of all partitions of a table fit into the server's lock "
    "table?",
    remedy="Raise `max_locks_per_transaction` and restart the server; keep fewer partitions, or wider ones.",
    find=_find,
)
