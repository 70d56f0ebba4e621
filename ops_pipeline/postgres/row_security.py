"""Finds tables whose rows row security hides from us, and which must therefore be refused."""

from collections.abc import Iterable, Sequence

from psycopg import sql as compose

import sql
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation
from ops_pipeline.postgres.spelling import spelled


def hidden(
    connection: Connection, with_partitions: Sequence[Relation], alone: Sequence[Relation] = ()
) -> list[str]:
    """A message for each of these tables whose rows may be hidden from this user, with the remedy."""
    return list(map(str, hidden_tables(connection, with_partitions, alone)))


def hidden_tables(
    connection: Connection, with_partitions: Sequence[Relation], alone: Sequence[Relation] = ()
) -> list[Finding]:
    """Those of the tables whose rows may be hidden from this user; `with_partitions` includes their
    partitions.

    A row security policy that shows this user every row is not enough: PostgreSQL cannot tell.
    """
    values = {
        "with_partitions": [relation.oid for relation in with_partitions],
        "alone": [relation.oid for relation in alone],
    }
    rows = connection.execute(sql.get("postgres/row_security"), values).fetchall()
    return [_hidden(*relation) for relation in rows]


def raising_triggers(connection: Connection, events: Iterable[tuple[Relation, int]]) -> list[Finding]:
    """The triggers that an event (a bit of pg_trigger.tgtype) fires on a table or its partitions, and whose
    functions read tables with row security: with row_security off, PostgreSQL raises an error there.

    The tables that a function reads are taken from its source text.
    """
    tables, bits = zip(*((relation.oid, event) for relation, event in events), strict=True)
    rows = connection.execute(
        sql.get("postgres/raising_triggers"), {"tables": list(tables), "events": list(bits)}
    ).fetchall()
    return [_raising(*trigger) for trigger in rows]


def _raising(
    name: str, function: str, role: str, hidden_from_it: list[str], oid: int, schema: str, table_name: str
) -> Finding:
    table = Relation(oid, schema, table_name)
    read = ", ".join(hidden_from_it)
    return Finding(
        str(table),
        f"the trigger {name} on {table} raises an error when rows are deleted: its function {function} "
        f"reads {read}, whose rows row security hides from {role}, and Ops Pipeline's sessions set "
        f"row_security = off. Allow {role} to read every row, or set row_security = on for the function",
        (
            spelled(compose.SQL("ALTER ROLE {} BYPASSRLS;").format(compose.Identifier(role)), None),
            f"ALTER FUNCTION {function} SET row_security = on;",
        ),
    )


def _hidden(table: str, user: str, forced: bool, policies: list[str], cures: list[str]) -> Finding:
    named = f"policies: {', '.join(policies)}" if policies else "without a policy, so all of them"
    owner = ", which is forced on its owner," if forced else ""
    return Finding(
        table,
        f"row security of {table}{owner} hides rows from {user} ({named}), so existing rows would be taken "
        f"for missing. Allow {user} to read every row",
        tuple(f"{cure};" for cure in cures),
    )
