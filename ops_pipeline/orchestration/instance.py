"""Creates what Dagster needs: its home folder, its configuration and its database."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql as compose

from ops_pipeline.postgres.connection import DatabaseUnavailableError, connect_bare, describe
from ops_pipeline.postgres.spelling import spelled
from ops_pipeline.settings import LOCAL, Settings, environment

CONFIGURATION = Path(__file__).with_name("dagster.yaml")


def prepare(settings: Settings) -> dict[str, str]:
    """Creates Dagster's home folder and database, and returns the environment to run Dagster in.

    `settings` come from `embedded.resolved`. If `DAGSTER_HOME` is set, a `dagster.yaml` in it is not changed.
    Raises DatabaseUnavailableError when Dagster's database cannot be reached or created.
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
    """The URL with the driver that Dagster's storage requires.

    SQLAlchemy 2.1 uses psycopg 3 for `postgresql://`, with which every event write fails.
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
            user = spelled(compose.Identifier(connection.info.user), connection)
            raise DatabaseUnavailableError(
                f"{describe(url)}, which is Dagster's, does not exist, and {connection.info.user} is not "
                "permitted to create it. Nothing was done. Create it as a superuser: "
                f"{spelled(create, connection)} OWNER {user}; or set OPS_DAGSTER_DATABASE_URL to another one"
            ) from error
