"""What a command works on: settings, policies, a connection; the embedded server runs as long as needed."""

from collections.abc import Iterator
from contextlib import contextmanager

from ops_pipeline import database, embedded, nightly, policy, settings


@contextmanager
def opened_policies(*, check: bool = True) -> Iterator[tuple[settings.Settings, policy.Policies]]:
    """The settings and the policies, with `check` held against their databases.

    Raises SettingsError, PolicyError, EmbeddedServerError or DatabaseUnavailableError.
    """
    loaded = settings.load()
    policies = policy.load(loaded.policies)  # a wrong file is told before anything is started
    with embedded.resolved(loaded) as resolved:
        if check:
            nightly.check(resolved, policies)
        yield resolved, policies


@contextmanager
def connected(name: str) -> Iterator[database.Connection]:
    """A connection to the migrated database of `OPS_DATABASE_URL`."""
    with embedded.resolved(settings.load()) as resolved:
        database.migrate(url_of(resolved))
        with database.connect(url_of(resolved), name) as connection:
            yield connection


def url_of(resolved: settings.Settings) -> str:
    """Where the database is that `OPS_DATABASE_URL` names."""
    return str(resolved.database_url)  # `embedded.resolved` has filled it in
