"""Brings our schema up to date: forward only, one migrator at a time."""

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
    """The application has something under a name that we need. Nothing was changed.

    `remedies`: the statements, commands or settings that the message is about; one of them is enough.
    """

    def __init__(self, message: str, *remedies: str) -> None:
        super().__init__(message)
        self.remedies = remedies


class AuditLogsTakenError(TakenError):
    """It has an `audit_logs` that is not ours."""


class SchemaTakenError(TakenError):
    """It has a schema of the name of ours that is not ours."""


def migrate(url: str, *, only: str | None = None) -> list[str]:
    """Brings the schema up to date and says which migrations were applied.

    Forward only, each in its own transaction, one migrator at a time: a second one waits. The lock
    is PostgreSQL's, not the row yoyo would leave behind when a migration is killed. `only`: that
    migration alone, which has to be one that depends on none. Raises TakenError and
    StandbyError before anything is created.
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
    """Raises AuditLogsTakenError when the `audit_logs` that is there is not the table that ours can be.

    That of a migrated database is ours. An ordinary table of the same columns is so once it is adopted, and
    passes only while it is being adopted. Reads only.
    """
    name = f"{shown(audit_logs().schema)}.{audit_logs().name}"
    for (schema,) in connection.execute(sql.get("postgres/audit_logs_of_schema")):
        raise AuditLogsTakenError(
            f"{name} is the audit log of the Ops Pipeline whose other tables are in schema {shown(schema)}, "
            f"and OPS_SCHEMA is {configured().own_schema}. Nothing was created or changed. If it is this "
            f"one, set OPS_SCHEMA={schema}; a schema of ours cannot be renamed. For another one beside it "
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
            f"{name} is {kind} of this application ({columns}), and Ops Pipeline keeps its own "
            f"audit log under that name, with another shape: {'; '.join(differences)}. Nothing was created "
            f"or changed. Give it another name, in the application as well: {rename} or let ours live in a "
            f"schema of its own: {ELSEWHERE['audit_logs']}, for every process of Ops Pipeline. Then run "
            "opsctl migrate",
            rename,
            ELSEWHERE["audit_logs"],
        )
    if is_ordinary and not adopting:
        adopt = f"opsctl adopt {audit_logs()}"
        raise AuditLogsTakenError(
            f"{name} is an ordinary table of this application, with the columns of our audit log. "
            "Nothing was created or changed. Make it one that is partitioned by day, while it is in use: "
            f"{adopt}. Then run opsctl migrate",
            adopt,
        )


def check_schema(connection: Connection) -> None:
    """Raises SchemaTakenError when the schema of ours is there and something else than ours is in it.

    An empty one, which somebody has made for us, passes. Reads only.
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
        f"the schema {shown(name)} is this application's (owner {owner}): it has {_some(objects)}, and Ops "
        "Pipeline keeps its own tables in a schema of that name. Nothing was created or changed. Give it "
        f"another name, in the application as well: {rename} or let ours have another one: "
        f"{ELSEWHERE['schema']}, for every process of Ops Pipeline. Then run opsctl migrate",
        rename,
        ELSEWHERE["schema"],
    )


ELSEWHERE = {"schema": "OPS_SCHEMA=ops_pipeline", "audit_logs": "OPS_AUDIT_LOG_SCHEMA=ops_audit"}
"""The settings with which ours live under names that an application hardly has."""


def _some(objects: list[str], most: int = 5) -> str:
    more = f" and {len(objects) - most} more" if len(objects) > most else ""
    return ", ".join(objects[:most]) + more


@contextmanager
def _migrations() -> Iterator[Path]:
    """A folder with the migrations as they are for the schemas that are configured: yoyo reads files."""
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
    # IF NOT EXISTS asks for the right to create one even where it exists; public is not ours to create.
    if schema != PUBLIC and not scalar(connection, sql.get("postgres/has_schema"), {"name": schema}):
        connection.execute(
            compose.SQL(sql.get("postgres/create_audit_log_schema")).format(schema=compose.Identifier(schema))
        )


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo ships no types
    def init_connection(self, connection: Connection) -> None:
        connection.execute(*preparation("ops migrate", lock_timeout="0"))
        super().init_connection(connection)


def _yoyo_url(url: str) -> str:
    # yoyo keeps its own tables in the schema it is given; the application's is not ours to fill.
    parameters = {
        **conninfo.conninfo_to_dict(with_password(url)),
        "schema": f'"{configured().own_schema}"',  # which it writes into a statement as it is
        "application_name": "ops migrate",
        "client_encoding": "UTF8",
    }
    return f"postgresql+psycopg://?{urlencode(parameters)}"
