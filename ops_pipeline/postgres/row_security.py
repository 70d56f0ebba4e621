"""Tables whose rows row security hides from us: what cannot be seen is not absent."""

from collections.abc import Sequence

import sql
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation


def hidden(
    connection: Connection, with_partitions: Sequence[Relation], alone: Sequence[Relation] = ()
) -> list[str]:
    """A sentence for each of these tables whose rows may be hidden from this user, with the way out.

    A policy of row security that lets this user see every row is no way out: PostgreSQL cannot tell.
    """
    values = {
        "with_partitions": [relation.oid for relation in with_partitions],
        "alone": [relation.oid for relation in alone],
    }
    rows = connection.execute(sql.get("postgres/row_security"), values).fetchall()
    return [_problem(*relation) for relation in rows]


def _problem(table: str, user: str, forced: bool, policies: list[str], cures: list[str]) -> str:
    named = f"policies: {', '.join(policies)}" if policies else "without a policy, so all of them"
    owner = ", which is forced on its owner," if forced else ""
    return (
        f"row security of {table}{owner} hides rows from {user} ({named}), and rows that are there would be "
        f"taken for missing. Let {user} see every row: {', or '.join(cures)}"
    )
