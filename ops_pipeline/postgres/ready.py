"""Checks before anything is written: the server is a primary, and all migrations are applied."""

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
"""The names of this version's migrations, such as `0001_audit_log`, as they are at the start of this
process: files of a newer version that are installed while it runs must not make it report missing ones."""


class NotMigratedError(DatabaseRefusedError):
    """Migrations of this version are not applied. Nothing was done; the message has the command to run."""


class StandbyError(DatabaseUnavailableError):
    """The server is a standby, as after a failover. A retry may succeed after a promotion or change of
    address."""


def refuse_unready(connection: Connection) -> None:
    """Call it before anything is written. Raises StandbyError or NotMigratedError. Reads only."""
    refuse_standby(connection)
    refuse_unmigrated(connection)


def refuse_standby(connection: Connection) -> None:
    """Raises StandbyError when the server is a standby."""
    if scalar(connection, sql.get("postgres/is_standby")):
        info = connection.info
        raise StandbyError(
            f"Database {info.dbname!r} at {info.host}:{info.port} is a standby, which accepts no writes. "
            "Nothing was changed. Set the URL to the primary's address, or to every server's with "
            "?target_session_attrs=read-write, which finds the primary after a failover"
        )


def refuse_unmigrated(connection: Connection) -> None:
    """Raises NotMigratedError when a migration of this version is not applied. Reads only."""
    if (said := lacking(connection)) is not None:
        raise NotMigratedError(f"{said}. Nothing was changed. Run: opsctl migrate")


def lacking(connection: Connection) -> str | None:
    """What the database lacks of this version's migrations; None: nothing. Raises NotMigratedError when that
    cannot be read. Reads only."""
    lacking = sorted(KNOWN_MIGRATIONS - _applied(connection))
    if not lacking:
        return None
    database = f"Database {connection.info.dbname!r}"
    others = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
    said = f"{database} lacks Ops Pipeline's migration {lacking[0]}{others}"
    if len(lacking) == len(KNOWN_MIGRATIONS):
        said = f"{database} has no tables of Ops Pipeline yet"
    return said


def _applied(connection: Connection) -> set[str]:
    present, readable = row(connection, sql.get("postgres/counts_migrations"))
    if not present:
        return set()
    if not readable:  # an older schema, in which only the owner and ops_reader may read them
        raise NotMigratedError(
            f"{connection.info.user} is not permitted to read which migrations database "
            f"{connection.info.dbname!r} has. Nothing was changed. As the owner of schema "
            f"{shown(configured().own_schema)}, run: opsctl migrate; then: "
            f"GRANT ops_maintenance TO {quoted(connection.info.user)}"
        )
    return {name for (name,) in connection.execute(sql.get("postgres/applied_migrations"))}
