"""Applies our migrations: forward only, one process at a time."""

from collections.abc import Collection

from psycopg import sql as compose

import sql
from ops_pipeline.counted import listed
from ops_pipeline.opsctl import opsctl
from ops_pipeline.postgres.advisory_lock import advisory_lock
from ops_pipeline.postgres.connection import Connection, connect, database_of, row, scalar
from ops_pipeline.postgres.ready import KNOWN_MIGRATIONS, refuse_standby
from ops_pipeline.postgres.relation import PUBLIC, audit_logs
from sql.schema_names import configured, shown

AUDIT_LOG = "0001_audit_log"
MIGRATIONS = sql.FOLDER / "migrations"


class TakenError(Exception):
    """The application uses a name that we need. Nothing was changed.

    `remedies`: the statements, commands or settings of the message; one of them is enough.
    """

    def __init__(self, message: str, *remedies: str) -> None:
        super().__init__(message)
        self.remedies = remedies


class AuditLogsTakenError(TakenError):
    """The application has an `audit_logs` of its own."""


class SchemaTakenError(TakenError):
    """The application has a schema with the name of our schema."""


def migrate(url: str, *, only: Collection[str] = KNOWN_MIGRATIONS, database: str | None = None) -> list[str]:
    """Applies the migrations that are not applied yet, in the order of their numbers; returns their names.

    Each is applied and recorded in one transaction, by one process at a time: a second one waits. `only`:
    no others than these. `database`: its name in policies.yaml, for messages. Afterwards each database role
    that was created later than the migrations is granted what they grant. Raises TakenError and StandbyError
    before anything is created; psycopg.Error from a migration, which is then not applied while the earlier
    ones are.
    """
    with (
        connect(url, "ops migrate", database=database, lock_timeout="60s") as connection,
        advisory_lock(connection, "ops: migrate", wait=True),
    ):
        refuse_standby(connection)
        if not (set(only) - _applied(connection)):
            _grant(connection)
            return []  # also for a role that may not create anything
        check_schema(connection)
        if {AUDIT_LOG} & set(only):
            check_audit_logs(connection)
        _create_schemas(connection)
        connection.execute(sql.get("postgres/create_migrations"))
        pending = sorted(set(only) - _applied(connection))
        for name in pending:
            _apply(connection, name)
        _grant(connection)
        return pending


def _applied(connection: Connection) -> set[str]:
    present, readable = row(connection, sql.get("postgres/counts_migrations"))
    if not (present and readable):
        return set()
    return {name for (name,) in connection.execute(sql.get("postgres/applied_migrations"))}


def _apply(connection: Connection, name: str) -> None:
    with connection.transaction():
        connection.execute(sql.get("postgres/migration_search_path"))
        connection.execute(sql.migration(name))
        connection.execute(sql.get("postgres/record_migration"), {"name": name})


def _grant(connection: Connection) -> None:
    if not (KNOWN_MIGRATIONS - _applied(connection)):
        connection.execute(sql.get("postgres/grant_to_new_roles"))


def check_audit_logs(connection: Connection, *, adopting: bool = False) -> None:
    """Raises AuditLogsTakenError when an existing `audit_logs` cannot be used as our audit log.

    That of a migrated database is ours. An ordinary table with the same columns must be adopted first; with
    `adopting` it is accepted. Reads only.
    """
    name = f"{shown(audit_logs().schema)}.{audit_logs().name}"
    for (schema,) in connection.execute(sql.get("postgres/audit_logs_of_schema")):
        raise AuditLogsTakenError(
            f"{name} belongs to an Ops Pipeline whose other tables are in schema {shown(schema)}, but "
            f"OPS_SCHEMA is {configured().own_schema}. Nothing was created or changed. To use that one, set "
            f"OPS_SCHEMA={schema}; an installed schema cannot be renamed. To install another one beside it, "
            "set OPS_AUDIT_LOG_SCHEMA as well",
            f"OPS_SCHEMA={schema}",
        )
    table = connection.execute(sql.get("postgres/audit_logs")).fetchone()
    if table is None:
        return
    kind, is_ordinary, columns, differences, set_defaults = table
    if differences:
        rename = f"ALTER TABLE {name} RENAME TO application_audit_logs;"
        raise AuditLogsTakenError(
            f"{name} belongs to the application: it is {kind} ({columns}), and Ops Pipeline needs that name "
            f"for its audit log, which has other columns: {'; '.join(differences)}. Nothing was created or "
            f"changed. Rename it, in the application as well: {rename} or put the audit log of Ops Pipeline "
            f"into a schema of its own: {ELSEWHERE['audit_logs']} for every process of Ops Pipeline. Then "
            "run opsctl migrate",
            rename,
            ELSEWHERE["audit_logs"],
        )
    if set_defaults is not None:
        raise AuditLogsTakenError(
            f"{name} lacks defaults that events of Ops Pipeline need. Nothing was created or changed. To set "
            f"them: {set_defaults}",
            set_defaults,
        )
    if is_ordinary and not adopting:
        adopt = opsctl("adopt", audit_logs(), database=database_of(connection))
        raise AuditLogsTakenError(
            f"{name} belongs to the application: it is an ordinary table with the columns of Ops "
            "Pipeline's audit log. Nothing was created or changed. Before opsctl migrate, partition it by "
            f"day while it is in use: {adopt}",
            adopt,
        )


def check_schema(connection: Connection) -> None:
    """Raises SchemaTakenError when our schema exists and contains objects that are not ours.

    An empty schema, created for us by a DBA, is accepted. Reads only.
    """
    found = connection.execute(sql.get("postgres/schema_ops")).fetchone()
    if found is None or not found[0]:
        return
    if scalar(connection, sql.get("postgres/counts_migrations")):
        applied = {name for (name,) in connection.execute(sql.get("postgres/applied_migrations"))}
        if applied & KNOWN_MIGRATIONS:
            return
    objects, owner = found
    name = configured().own_schema
    rename = f"ALTER SCHEMA {shown(name)} RENAME TO application_{name.lower()};"
    raise SchemaTakenError(
        f"schema {shown(name)} belongs to the application (owner {owner}): it has {listed(objects)}, and "
        "Ops Pipeline needs that name for its own tables. Nothing was created or changed. Rename it, in the "
        f"application as well: {rename} or give Ops Pipeline's schema another name: "
        f"{ELSEWHERE['schema']} for every process of Ops Pipeline. Then run opsctl migrate",
        rename,
        ELSEWHERE["schema"],
    )


ELSEWHERE = {"schema": "OPS_SCHEMA=ops_pipeline", "audit_logs": "OPS_AUDIT_LOG_SCHEMA=ops_audit"}
"""Settings with names that applications are unlikely to use."""


def _create_schemas(connection: Connection) -> None:
    connection.execute(sql.get("postgres/create_schema"))
    schema = audit_logs().schema
    # CREATE SCHEMA IF NOT EXISTS requires the CREATE privilege even if it exists; public is never created.
    if schema != PUBLIC and not scalar(connection, sql.get("postgres/has_schema"), {"name": schema}):
        connection.execute(
            compose.SQL(sql.get("postgres/create_audit_log_schema")).format(schema=compose.Identifier(schema))
        )
