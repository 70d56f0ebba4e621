"""What has to be so before anything is written: a primary server, and all of our migrations applied."""

import sql
from ops_pipeline.postgres.connection import (
    Connection,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    row,
    scalar,
)
from ops_pipeline.postgres.relation import quoted
from sql.schema_names import configured, shown

KNOWN_MIGRATIONS = frozenset(file.stem for file in (sql.FOLDER / "migrations").glob("*.sql"))
"""By their names, such as `0001_audit_log`."""


class NotMigratedError(DatabaseRefusedError):
    """Our tables are missing, or older than this version. Nothing was done; the message says what to run."""


class StandbyError(DatabaseUnavailableError):
    """The server is a standby, as after a failover. It may be promoted, or the URL lead elsewhere later."""


def refuse_unready(connection: Connection) -> None:
    """To be asked before anything is written. Raises StandbyError or NotMigratedError. Reads only."""
    refuse_standby(connection)
    refuse_unmigrated(connection)


def refuse_standby(connection: Connection) -> None:
    """Raises StandbyError when the server takes no writes."""
    if scalar(connection, sql.get("postgres/is_standby")):
        info = connection.info
        raise StandbyError(
            f"Database {info.dbname!r} at {info.host}:{info.port} is a standby, which takes no writes. "
            "Nothing was changed. Put the primary's address into the URL, or every server's with "
            "?target_session_attrs=read-write, which finds the primary after a failover"
        )


def refuse_unmigrated(connection: Connection) -> None:
    """Raises NotMigratedError when a migration that this version knows has not been applied. Reads only."""
    lacking = sorted(KNOWN_MIGRATIONS - _applied(connection))
    if not lacking:
        return
    database = f"Database {connection.info.dbname!r}"
    said = f"{database} lacks {len(lacking)} of our migrations, {lacking[0]} first"
    if len(lacking) == len(KNOWN_MIGRATIONS):
        said = f"{database} has none of our tables yet"
    raise NotMigratedError(f"{said}. Nothing was changed. Run: opsctl migrate")


def _applied(connection: Connection) -> set[str]:
    present, readable = row(connection, sql.get("postgres/counts_migrations"))
    if not present:
        return set()
    if not readable:  # of an older schema, in which only the owner and ops_reader may ask
        raise NotMigratedError(
            f"{connection.info.user} may not read which migrations database {connection.info.dbname!r} has. "
            f"Nothing was changed. Have the owner of schema {shown(configured().own_schema)} run: opsctl "
            "migrate; then: "
            f"GRANT ops_maintenance TO {quoted(connection.info.user)}"
        )
    return {name for (name,) in connection.execute(sql.get("postgres/applied_migrations"))}
