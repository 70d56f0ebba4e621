"""Dagster's own database: whether it answers, and whether its schema is that of the installed Dagster."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql as compose

import sql
from ops_pipeline.diagnosis.diagnosis import Diagnosis, Installation, NotAskedError
from ops_pipeline.finding import Finding
from ops_pipeline.postgres.connection import DatabaseUnavailableError, connect_bare, describe, row, scalar

REVISION = re.compile(r'^(down_)?revision = "(\w+)"', re.MULTILINE)
UPGRADE = "dagster instance migrate"


def _look_reachable(installation: Installation) -> Iterator[Finding]:
    error = installation.dagster
    if not isinstance(error, DatabaseUnavailableError):
        return
    url = installation.settings.dagster_database_url or ""
    name = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
    try:
        with connect_bare(psycopg.conninfo.make_conninfo(url, dbname="postgres")) as connection:
            exists, may_create = row(connection, sql.get("diagnosis/may_create_database"), {"name": name})
            create = compose.SQL("CREATE DATABASE {} OWNER {};").format(
                compose.Identifier(name), compose.Identifier(connection.info.user)
            )
            statement = create.as_string(connection)
    except DatabaseUnavailableError:
        exists, may_create, statement = True, False, ""
    if exists:
        yield Finding(describe(url), f"{error}. No run can start or be recorded until it answers")
    elif may_create:
        raise NotAskedError("it does not exist yet; the first `opsctl run` or `opsctl up` creates it")
    else:
        yield Finding(
            describe(url), "it does not exist, and this user may not create it. As a superuser", (statement,)
        )


def is_missing(url: str) -> bool:
    """Whether the server answers, and does not have this database."""
    name = psycopg.conninfo.conninfo_to_dict(url).get("dbname")
    try:
        with connect_bare(psycopg.conninfo.make_conninfo(url, dbname="postgres")) as connection:
            exists, _ = row(connection, sql.get("diagnosis/may_create_database"), {"name": name})
    except DatabaseUnavailableError:
        return False
    return not exists


def _look_schema(installation: Installation) -> Iterator[Finding]:
    connection = installation.dagster_connection()
    current = scalar(connection, sql.get("diagnosis/dagster_schema"))
    head, known = revisions()
    if current == head:
        return
    url = describe(installation.settings.dagster_database_url or "")
    if current in known:
        yield Finding(
            url,
            f"its schema is {current}, and the installed Dagster needs {head}. Stop the daemon and the "
            "webserver, and upgrade it, in the environment in which Dagster runs (DAGSTER_HOME)",
            (UPGRADE,),
        )
    else:
        yield Finding(
            url,
            f"its schema is {current}, which the installed Dagster does not know ({head} is its newest): a "
            "newer Dagster has upgraded it. Install that version of Ops Pipeline here as well",
        )


def revisions() -> tuple[str, frozenset[str]]:
    """The newest revision of the installed Dagster's schema, and all that it knows; Dagster is not loaded."""
    spec = find_spec("dagster")
    if spec is None or spec.origin is None:
        raise NotAskedError("Dagster is not installed here")
    versions = Path(spec.origin).parent / "_core" / "storage" / "alembic" / "versions"
    found = [match for file in versions.glob("*.py") for match in REVISION.findall(file.read_text())]
    known = frozenset(revision for down, revision in found if not down)
    (head,) = known - {revision for down, revision in found if down}
    return head, known


DAGSTER_DATABASE = Diagnosis(
    id="dagster_database",
    severity="error",
    question="Does Dagster's own database answer?",
    remedy="Start its server, or correct `OPS_DAGSTER_DATABASE_URL`; without it, it is the database "
    "`dagster` on the server of `OPS_DATABASE_URL`.",
    look=_look_reachable,
)
DAGSTER_SCHEMA = Diagnosis(
    id="dagster_schema",
    severity="error",
    question="Is the schema of Dagster's database that of the installed Dagster?",
    remedy=f"Run `{UPGRADE}` after an upgrade, with daemon and webserver stopped; install the same version "
    "of Ops Pipeline everywhere.",
    look=_look_schema,
)
