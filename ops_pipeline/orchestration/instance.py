"""What Dagster itself needs: its home folder, its configuration and its database."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql as compose

from ops_pipeline.postgres.connection import DatabaseUnavailableError, connect_bare, describe
from ops_pipeline.settings import LOCAL, Settings, environment

CONFIGURATION = Path(__file__).with_name("dagster.yaml")


def prepare(settings: Settings) -> dict[str, str]:
    """Makes the folder and the database that Dagster needs, and returns the environment to run it in.

    `settings` come from `embedded.resolved`. A `dagster.yaml` in a `DAGSTER_HOME` that somebody chose
    stays as it is. Raises DatabaseUnavailableError when Dagster's database cannot be had or made.
    """
    chosen = os.environ.get("DAGSTER_HOME")
    home = Path(chosen or LOCAL / "dagster").absolute()
    home.mkdir(parents=True, exist_ok=True)
    if not chosen or not (home / "dagster.yaml").exists():
        shutil.copy(CONFIGURATION, home / "dagster.yaml")
    url = settings.dagster_database_url or ""
    _create_database(url)
    return {
        **environment(settings),
        "DAGSTER_HOME": str(home),
        "OPS_DAGSTER_DATABASE_URL": for_sqlalchemy(url),
        "OPS_POLICIES": str(settings.policies.absolute()),
    }


def for_sqlalchemy(url: str) -> str:
    """The URL with the driver that Dagster's storage works with.

    SQLAlchemy 2.1 takes `postgresql://` to mean psycopg 3, with which every event write fails.
    """
    return f"postgresql+psycopg2://{url.split('://', 1)[1]}"


def _create_database(url: str) -> None:
    with suppress(DatabaseUnavailableError):
        connect_bare(url).close()
        return
    name = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
    from_here = psycopg.conninfo.make_conninfo(url, dbname="postgres")
    create = compose.SQL("CREATE DATABASE {}").format(compose.Identifier(name))
    with connect_bare(from_here) as connection:
        try:
            connection.execute(create)
        except psycopg.errors.InsufficientPrivilege as error:
            user = compose.Identifier(connection.info.user).as_string(connection)
            raise DatabaseUnavailableError(
                f"Dagster keeps its run history in a database of its own, {describe(url)}, which is missing, "
                f"and {connection.info.user} may not create it. Nothing was done. Create it as a superuser: "
                f"{create.as_string(connection)} OWNER {user}; or set OPS_DAGSTER_DATABASE_URL to another one"
            ) from error
