"""Applies our migrations: forward only, one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

import yoyo
from psycopg import conninfo
from psycopg import sql as compose
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import default_migration_table

import sql
from ops_pipeline.credentials import with_password
from ops_pipeline.postgres.advisory_lock import advisory_lock
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.ready import KNOWN_MIGRATIONS, refuse_standby
from ops_pipeline.postgres.relation import PUBLIC, audit_logs
from ops_pipeline.postgres.session import preparation
from sql.schema_names import configured, shown

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


def migrate(url: str, *, only: str | None = None) -> list[str]:
    """Applies the pending migrations; returns their names.

    Forward only, each in its own transaction, one process at a time: a second one waits. The lock is an
    advisory lock, not yoyo's row, which would remain after a kill. `only`: that migration alone, which must
    not depend on others. Raises TakenError and StandbyError before anything is created.
    """
    with (
        _migrations() as folder,
        connect(url, "ops migrate", lock_timeout="60s") as connection,
        advisory_lock(connection, "ops: migrate", wait=True),
    ):
        refuse_standby(connection)
        check_schema(connection)
        if only is None:
            check_audit_logs(connection)
        _create_schemas(connection)
        backend = _Backend(parse_uri(_yoyo_url(url)), default_migration_table)
        try:
            backend.init_database()
            known = yoyo.read_migrations(str(folder))
            chosen = known.filter(lambda migration: only in {None, migration.id})
            pending = backend.to_apply(chosen)
            backend.apply_migrations(pending)
            return [str(migration.id) for migration in pending]
        finally:
            backend.connection.close()


def check_audit_logs(connection: Connection, *, adopting: bool = False) -> None:
    """Raises AuditLogsTakenError when an existing `audit_logs` cannot be used as our audit log.

    That of a migrated database is ours. An ordinary table with the same columns must be adopted first; with
    `adopting` it is accepted. Reads only.
    """
    name = f"{shown(audit_logs().schema)}.{audit_logs().name}"
    for (schema,) in connection.execute(sql.get("postgres/audit_logs_of_schema")):
        raise AuditLogsTakenError(
            f"{name} belongs to an Ops Pipeline whose other tables are in schema {shown(schema)}, "
            f"but OPS_SCHEMA is {configured().own_schema}. Nothing was created or changed. To use that one, "
            f"set OPS_SCHEMA={schema}; our schema cannot be renamed. To install another one beside it, "
            "set OPS_AUDIT_LOG_SCHEMA as well",
            f"OPS_SCHEMA={schema}",
        )
    table = connection.execute(sql.get("postgres/audit_logs")).fetchone()
    if table is None:
        return
    kind, is_ordinary, columns, differences = table
    if differences:
        rename = f"ALTER TABLE {name} RENAME TO application_audit_logs;"
        raise AuditLogsTakenError(
            f"{name} is {kind} of this application ({columns}), and Ops Pipeline needs that name for its "
            f"audit log, which has other columns: {'; '.join(differences)}. Nothing was created or changed. "
            f"Rename it, in the application as well: {rename} or put our audit log into a schema of its own: "
            f"{ELSEWHERE['audit_logs']}, for every process of Ops Pipeline. Then run opsctl migrate",
            rename,
            ELSEWHERE["audit_logs"],
        )
    if is_ordinary and not adopting:
        adopt = f"opsctl adopt {audit_logs()}"
        raise AuditLogsTakenError(
            f"{name} is an ordinary table of this application with the columns of our audit log. "
            "Nothing was created or changed. To partition it by day while it is in use: "
            f"{adopt}. Then run opsctl migrate",
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
        f"schema {shown(name)} belongs to this application (owner {owner}): it has {_some(objects)}, and Ops "
        "Pipeline needs that name for its own tables. Nothing was created or changed. Rename it, in the "
        f"application as well: {rename} or give our schema another name: "
        f"{ELSEWHERE['schema']}, for every process of Ops Pipeline. Then run opsctl migrate",
        rename,
        ELSEWHERE["schema"],
    )


ELSEWHERE = {"schema": "OPS_SCHEMA=ops_pipeline", "audit_logs": "OPS_AUDIT_LOG_SCHEMA=ops_audit"}
"""Settings with names that applications are unlikely to use."""


def _some(objects: list[str], most: int = 5) -> str:
    more = f" and {len(objects) - most} more" if len(objects) > most else ""
    return ", ".join(objects[:most]) + more


@contextmanager
def _migrations() -> Iterator[Path]:
    """A folder with the migrations for the configured schemas; yoyo only reads files."""
    if configured().are_default:
        yield MIGRATIONS
        return
    with TemporaryDirectory(prefix="ops-migrations-") as folder:
        for name in KNOWN_MIGRATIONS:
            (Path(folder) / f"{name}.sql").write_text(sql.migration(name), encoding="utf-8")
        yield Path(folder)


def _create_schemas(connection: Connection) -> None:
    connection.execute(sql.get("postgres/create_schema"))
    schema = audit_logs().schema
    # CREATE SCHEMA IF NOT EXISTS requires the CREATE privilege even if it exists; public is never created.
    if schema != PUBLIC and not scalar(connection, sql.get("postgres/has_schema"), {"name": schema}):
        connection.execute(
            compose.SQL(sql.get("postgres/create_audit_log_schema")).format(schema=compose.Identifier(schema))
        )


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo ships no types
    def init_connection(self, connection: Connection) -> None:
        connection.execute(*preparation("ops migrate", lock_timeout="0"))
        super().init_connection(connection)


def _yoyo_url(url: str) -> str:
    # yoyo creates its own tables in this schema; they must not be in the application's.
    parameters = {
        **conninfo.conninfo_to_dict(with_password(url)),
        "schema": f'"{configured().own_schema}"',  # yoyo inserts it into statements unquoted
        "application_name": "ops migrate",
        "client_encoding": "UTF8",
    }
    return f"postgresql+psycopg://?{urlencode(parameters)}"
