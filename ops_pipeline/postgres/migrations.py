"""Brings our schema up to date: forward only, one migrator at a time."""

from urllib.parse import urlencode

import yoyo
from psycopg import conninfo
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import default_migration_table

import sql
from ops_pipeline.credentials import with_password
from ops_pipeline.postgres.advisory_lock import advisory_lock
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.ready import refuse_standby
from ops_pipeline.postgres.session import preparation

MIGRATIONS = sql.FOLDER / "migrations"


class TakenError(Exception):
    """The application has something under a name that we need. Nothing was changed.

    `remedy`: the statement or command that the message is about.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class AuditLogsTakenError(TakenError):
    """It has an `audit_logs` that is not ours."""


class SchemaTakenError(TakenError):
    """It has a schema `ops` that is not ours."""


def migrate(url: str, *, only: str | None = None) -> list[str]:
    """Brings the schema up to date and says which migrations were applied.

    Forward only, each in its own transaction, one migrator at a time: a second one waits. The lock
    is PostgreSQL's, not the row yoyo would leave behind when a migration is killed. `only`: that
    migration alone, which has to be one that depends on none. Raises TakenError and
    StandbyError before anything is created.
    """
    with (
        connect(url, "ops migrate", lock_timeout="60s") as connection,
        advisory_lock(connection, "ops: migrate", wait=True),
    ):
        refuse_standby(connection)
        check_schema(connection)
        if only is None:
            check_audit_logs(connection)
        connection.execute(sql.get("postgres/create_schema"))
        backend = _Backend(parse_uri(_yoyo_url(url)), default_migration_table)
        try:
            backend.init_database()
            known = yoyo.read_migrations(str(MIGRATIONS))
            chosen = known.filter(lambda migration: only in {None, migration.id})
            pending = backend.to_apply(chosen)
            backend.apply_migrations(pending)
            return [str(migration.id) for migration in pending]
        finally:
            backend.connection.close()


def check_audit_logs(connection: Connection, *, adopting: bool = False) -> None:
    """Raises AuditLogsTakenError when `public.audit_logs` is there and is not the table that ours can be.

    That of a migrated database is ours. An ordinary table of the same columns is so once it is adopted, and
    passes only while it is being adopted. Reads only.
    """
    table = connection.execute(sql.get("postgres/audit_logs")).fetchone()
    if table is None:
        return
    kind, is_ordinary, columns, differences = table
    if differences:
        raise AuditLogsTakenError(
            f"public.audit_logs is {kind} of this application ({columns}), and Ops Pipeline keeps its own "
            f"audit log under that name, with another shape: {'; '.join(differences)}. Nothing was created "
            "or changed. Give it another name, in the application as well: "
            "ALTER TABLE public.audit_logs RENAME TO application_audit_logs; then run opsctl migrate. If it "
            "has to keep the name, Ops Pipeline cannot look after this database",
            "ALTER TABLE public.audit_logs RENAME TO application_audit_logs;",
        )
    if is_ordinary and not adopting:
        raise AuditLogsTakenError(
            "public.audit_logs is an ordinary table of this application, with the columns of our audit log. "
            "Nothing was created or changed. Make it one that is partitioned by day, while it is in use: "
            "opsctl adopt audit_logs. Then run opsctl migrate",
            "opsctl adopt audit_logs",
        )


def check_schema(connection: Connection) -> None:
    """Raises SchemaTakenError when the schema `ops` is there and something else than ours is in it.

    An empty one, which somebody has made for us, passes. Reads only.
    """
    found = connection.execute(sql.get("postgres/schema_ops")).fetchone()
    if found is None or not found[0]:
        return
    if scalar(connection, sql.get("postgres/counts_migrations")):
        applied = {name for (name,) in connection.execute(sql.get("postgres/applied_migrations"))}
        if applied & {migration.id for migration in yoyo.read_migrations(str(MIGRATIONS))}:
            return
    objects, owner = found
    raise SchemaTakenError(
        f"the schema ops is this application's (owner {owner}): it has {_some(objects)}, and Ops Pipeline "
        "keeps its own tables in a schema of that name. Nothing was created or changed. Give it another "
        "name, in the application as well: ALTER SCHEMA ops RENAME TO application_ops; then run opsctl "
        "migrate. If it has to keep the name, Ops Pipeline cannot look after this database",
        "ALTER SCHEMA ops RENAME TO application_ops;",
    )


def _some(objects: list[str], most: int = 5) -> str:
    more = f" and {len(objects) - most} more" if len(objects) > most else ""
    return ", ".join(objects[:most]) + more


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo ships no types
    def init_connection(self, connection: Connection) -> None:
        connection.execute(*preparation("ops migrate", lock_timeout="0"))
        super().init_connection(connection)


def _yoyo_url(url: str) -> str:
    # yoyo keeps its own tables in the schema it is given; the application's is not ours to fill.
    parameters = {
        **conninfo.conninfo_to_dict(with_password(url)),
        "schema": "ops",
        "application_name": "ops migrate",
        "client_encoding": "UTF8",
    }
    return f"postgresql+psycopg://?{urlencode(parameters)}"
