"""`opsctl migrate`: creates or updates our tables in every database of the policies."""

from dataclasses import dataclass

import psycopg
import typer

import sql
from ops_pipeline import settings
from ops_pipeline.audit import trail
from ops_pipeline.cli.output import Json, answer, complain
from ops_pipeline.counted import listed
from ops_pipeline.maintenance import kinds
from ops_pipeline.partitions.premake import premake
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres import embedded, migrations
from ops_pipeline.postgres.connection import DatabaseUnavailableError, NoConnectionError, connect
from ops_pipeline.postgres.relation import audit_logs, find_relation
from ops_pipeline.postgres.rights import MissingRightError, explained


def migrate(as_json: Json = False) -> None:
    """Create or update our tables (the audit log, schema ops) in every database of the policies.

    The application's rows are not changed. Where grants allow it, audit_logs
    gets a foreign key to public.users, and the role ops_reader may read
    public.sessions and public.conversations.
    """
    loaded = settings.load()
    policies = kinds.load(loaded.policies) if loaded.policies.exists() else None
    with embedded.resolved(loaded) as resolved:
        results = migrate_all(resolved, policies)
    migrated = [result for result in results if result.failed is None]
    lines = [line for result in migrated for line in _lines(result)]
    answer({"databases": results}, *lines, as_json=as_json)
    raise typer.Exit(0 if len(migrated) == len(results) else 1)


@dataclass(frozen=True, slots=True)
class Migrated:
    """What was done in a database: the migrations applied and the day partitions created in advance.

    `missing_roles`: those of our roles that do not exist, because the user may not create roles.
    """

    database: str
    applied: tuple[str, ...] = ()
    partitions_created: int = 0
    missing_roles: tuple[str, ...] = ()
    failed: str | None = None


def migrate_all(resolved: settings.Settings, policies: Policies | None) -> list[Migrated]:
    """Migrates the database of `OPS_DATABASE_URL` and every database of the policies, independently.

    A failure does not stop the others; its error is in its result and on standard error.
    """
    databases = policies.databases if policies else ()
    environment = settings.environment(resolved)
    urls = {database.url(environment): (database.name, database.url_origin) for database in databases}
    if resolved.database_url is not None:
        urls.setdefault(resolved.database_url, ("OPS_DATABASE_URL", "OPS_DATABASE_URL"))
    names = {database.name for database in databases}
    return [
        _migrate(name, url, origin, name if name in names else None) for url, (name, origin) in urls.items()
    ]


def _migrate(name: str, url: str, origin: str, database: str | None) -> Migrated:
    try:
        with connect(url, "opsctl migrate") as connection, explained(connection):
            applied = migrations.migrate(url, database=database)
            if not trail.is_there(connection):
                missing = (
                    f"the audit log {audit_logs().qualified} is missing. To see what to do: opsctl doctor"
                )
                complain(f"{name}: {missing}")
                return Migrated(name, tuple(applied), failed=missing)
            created = premake(connection, find_relation(connection, audit_logs()))
            missing_roles = tuple(name for (name,) in connection.execute(sql.get("postgres/missing_roles")))
    except (DatabaseUnavailableError, migrations.TakenError, MissingRightError, psycopg.Error) as error:
        advice = f". Check {origin}" if isinstance(error, NoConnectionError) else ""
        complain(f"{name} was not migrated: {error}{advice}")
        return Migrated(name, failed=f"{error}{advice}")
    return Migrated(name, tuple(applied), created, missing_roles)


def _lines(migrated: Migrated) -> list[str]:
    applied = ", ".join(migrated.applied) or "none, all had been applied before"
    return [
        f"{migrated.database}: migrations applied: {applied}",
        f"{migrated.database}: day partitions of audit_logs created: {migrated.partitions_created}",
        *([_roles(migrated)] if migrated.missing_roles else []),
    ]


def _roles(migrated: Migrated) -> str:
    create = " ".join(f"CREATE ROLE {name} NOLOGIN;" for name in migrated.missing_roles)
    return (
        f"{migrated.database}: its user may not create roles, so {listed(migrated.missing_roles)} do not "
        "exist and the API works with all privileges of its login. To change that, run as an administrator: "
        f"{create} Then again: opsctl migrate"
    )
