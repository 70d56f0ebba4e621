"""Finds the privileges that the current user lacks, each as the GRANT for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

import sql
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import PUBLIC, Relation, TableName, audit_logs, quoted
from sql.schema_names import configured

PAGE = "docs/reference/rights.md"


class MissingRightError(Exception):
    """PostgreSQL denied permission. The statement did nothing; the message has the GRANT."""


def lacking(connection: Connection, table: Relation, *privileges: str) -> list[str]:
    """The GRANTs that the user lacks for these privileges on the table and its partitions.

    `privileges`: such as SELECT; UPDATE means of at least one column, which is enough to lock rows.
    """
    values = {"oid": table.oid, "privileges": list(privileges)}
    return [grant for (grant,) in connection.execute(sql.get("postgres/lacking_rights"), values)]


def lacking_ownership(connection: Connection, table: Relation) -> list[str]:
    """The statement that gives the user the privileges of the table's owner: a GRANT, or ALTER TABLE … OWNER
    if the owner is a superuser. Empty when the user has them."""
    rows = connection.execute(sql.get("postgres/ownership"), {"oid": table.oid})
    return [grant for (grant,) in rows]


@contextmanager
def explained(connection: Connection) -> Iterator[None]:
    """Turns PostgreSQL's "permission denied" into a MissingRightError; other errors are not changed.

    The connection must not be in a transaction when the context ends.
    """
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        if (reason := explanation(connection, error)) is None:
            raise
        raise MissingRightError(reason) from error


def explanation(connection: Connection, error: psycopg.errors.InsufficientPrivilege) -> str | None:
    """What the user lacks, with the GRANT for it; None when the error is about something else."""
    message = (error.diag.message_primary or str(error)).strip()
    denied = connection.execute(sql.get("postgres/denied"), {"message": message}).fetchone()
    if denied is None:
        return None
    grant = _grant(connection, message, *denied)
    return f"{message}. To allow it: {grant} (what each command requires: {PAGE})"


def _grant(
    connection: Connection, message: str, kind: str, oid: int, schema: str, plain: str, name: str, owner: str
) -> str:
    user = quoted(scalar(connection, sql.get("postgres/present_user")))
    if message.startswith("must be owner"):
        ways = lacking_ownership(connection, Relation(oid, schema, plain)) if kind == "table" else []
        return "; ".join(ways) or f"GRANT {owner} TO {user}"
    if _is_ours(kind, TableName(schema, plain)):
        return f"GRANT ops_maintenance TO {user}"
    match kind:
        case "table":
            grants = lacking(connection, Relation(oid, schema, plain), "SELECT", "INSERT", "DELETE")
            return "; ".join(grants) or f"GRANT UPDATE ON {name} TO {user}"
        case "schema":
            return f"GRANT USAGE, CREATE ON SCHEMA {name} TO {user}"
        case "function":
            return f"GRANT EXECUTE ON FUNCTION {name} TO {user}"
        case _:
            return f"GRANT CREATE ON DATABASE {name} TO {user}"


def _is_ours(kind: str, denied: TableName) -> bool:
    names = configured()
    if kind == "schema" and denied.schema == names.audit_log_schema != PUBLIC:
        return True
    return denied.schema == names.own_schema or denied == audit_logs()
