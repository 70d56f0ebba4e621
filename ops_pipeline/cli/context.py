"""What a command works on: settings, policies, a connection."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ops_pipeline import settings
from ops_pipeline.cli import maintenance
from ops_pipeline.maintenance import kinds
from ops_pipeline.nearest import nearest
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Database, Policies
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, connect
from ops_pipeline.postgres.migrations import migrate


@contextmanager
def opened_policies(
    *, check: bool = True, or_embedded: bool = False
) -> Iterator[tuple[settings.Settings, Policies]]:
    """The settings and the policies, with `check` held against their databases.

    `or_embedded`: without `OPS_DATABASE_URL` the embedded server is used.
    Raises SettingsError, PolicyError, EmbeddedServerError or DatabaseUnavailableError.
    """
    loaded = settings.load()
    policies = kinds.load(loaded.policies)  # a wrong file is told before anything is started
    with embedded.resolved(loaded, or_embedded=or_embedded) as resolved:
        if check:
            maintenance.check(resolved, policies)
        yield resolved, policies


@contextmanager
def connected(name: str) -> Iterator[Connection]:
    """A connection to the migrated database of `OPS_DATABASE_URL`."""
    with embedded.resolved(settings.load()) as resolved:
        migrate(url_of(resolved))
        with connect(url_of(resolved), name) as connection:
            yield connection


@contextmanager
def connected_to(
    wanted: str | None, name: str, away: list[str], *, most: int | None = None
) -> Iterator[Iterator[tuple[Database, Connection]]]:
    """The databases of the policies, each with a connection once it is migrated; only `wanted`, where given,
    and the first `most` of them.

    `away` is given what did not answer. Raises PolicyError when the policies name no such database.
    """
    loaded = settings.load()
    policies = kinds.load(loaded.policies)
    names = [each.name for each in policies.databases]
    if wanted is not None and wanted not in names:
        raise PolicyError([f'--database: the policies name no "{wanted}"; {nearest(wanted, names)}'])
    chosen = [each for each in policies.databases if wanted in (None, each.name)][:most]
    if not chosen:
        raise PolicyError([f"{loaded.policies}: databases: there is none"])
    with embedded.resolved(loaded) as resolved:
        yield _connections(chosen, settings.environment(resolved), name, away)


def _connections(
    chosen: list[Database], environment: Mapping[str, str], name: str, away: list[str]
) -> Iterator[tuple[Database, Connection]]:
    for each in chosen:
        url = each.url(environment)
        try:
            migrate(url)
            connection = connect(url, name)
        except DatabaseUnavailableError as error:
            away.append(f"{each.name}: {error}")
            continue
        with connection:
            yield each, connection


def url_of(resolved: settings.Settings) -> str:
    """Where the database is that `OPS_DATABASE_URL` names."""
    return str(resolved.database_url)  # `embedded.resolved` has filled it in
