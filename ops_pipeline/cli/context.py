"""Opens what a command works on: settings, policies, database connections."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from ops_pipeline import settings
from ops_pipeline.maintenance import kinds
from ops_pipeline.nearest import nearest
from ops_pipeline.policies.connection import connect_to
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Database, Policies
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection, DatabaseUnavailableError, NoConnectionError, connect
from ops_pipeline.postgres.ready import refuse_unmigrated, refuse_unready
from ops_pipeline.postgres.rights import explained


def _anything(_: Connection) -> None:
    """Accepts every database."""


@contextmanager
def opened_policies(
    *, check: bool = True, or_embedded: bool = False
) -> Iterator[tuple[settings.Settings, Policies]]:
    """The settings and the policies; with `check`, the policies are checked against their databases.

    `or_embedded`: without `OPS_DATABASE_URL` the embedded server is used.
    Raises SettingsError, PolicyError, EmbeddedServerError or DatabaseUnavailableError.
    """
    loaded = settings.load()
    policies = kinds.load(loaded.policies)  # a wrong file is reported before anything is started
    with embedded.resolved(loaded, or_embedded=or_embedded) as resolved:
        if check:
            check_policies(resolved, policies)
        yield resolved, policies


def check_policies(resolved: settings.Settings, policies: Policies, *, writes: bool = False) -> None:
    """Checks every policy against its database. Raises PolicyError with the problems of all of them.

    A database that does not answer, or that is read-only when the command `writes`, is skipped: its own
    steps report it. Raises DatabaseUnavailableError when all databases were skipped.
    """
    problems: list[str] = []
    away: list[str] = []
    for database, connection in connections(
        resolved, policies.databases, "opsctl check", away, refuse_unready if writes else _anything
    ):
        try:
            kinds.check(connection, database.policies)
        except PolicyError as error:
            problems += error.problems
    if problems:
        raise PolicyError(problems)
    if away and len(away) == len(policies.databases):
        raise DatabaseUnavailableError("\n".join(away))


@contextmanager
def connected(name: str, *, writes: bool = True) -> Iterator[Connection]:
    """A connection to the database of `OPS_DATABASE_URL`. Raises NotMigratedError and, if the command
    `writes`, StandbyError."""
    with (
        embedded.resolved(settings.load()) as resolved,
        connected_to_own(resolved, name) as connection,
        explained(connection),
    ):
        _required(writes=writes)(connection)
        yield connection


@contextmanager
def connected_to_own(resolved: settings.Settings, name: str) -> Iterator[Connection]:
    """A connection to the database of `OPS_DATABASE_URL`, whatever its state. Raises NoConnectionError."""
    try:
        connection = connect(url_of(resolved), name)
    except NoConnectionError as error:
        raise NoConnectionError(f"{error}. Check OPS_DATABASE_URL") from error
    with connection:
        yield connection


@contextmanager
def connected_to_one(wanted: str | None, name: str, *, writes: bool = True) -> Iterator[Connection]:
    """A connection to the database `wanted` of the policies, or to their only one; see `connected`.

    Raises PolicyError when policies.yaml does not name that database, or has several and none is wanted, and
    DatabaseUnavailableError.
    """
    away: list[str] = []
    if wanted is None:
        refuse_several(kinds.load(settings.load().policies))
    with connected_to(wanted, name, away, writes=writes) as databases:
        for _, connection in databases:
            with explained(connection):
                yield connection
    if away:
        raise DatabaseUnavailableError("\n".join(away))


@contextmanager
def connected_to(
    wanted: str | None, name: str, away: list[str], *, writes: bool = True
) -> Iterator[Iterator[tuple[Database, Connection]]]:
    """The databases of the policies, each with a connection; only `wanted`, if given.

    The problems of databases that do not answer, are not migrated or, if the command `writes`, are standbys
    are appended to `away`. Raises PolicyError when policies.yaml does not name that database.
    """
    loaded = settings.load()
    chosen = chosen_databases(loaded, kinds.load(loaded.policies), wanted)
    with embedded.resolved(loaded) as resolved:
        yield connections(resolved, chosen, name, away, _required(writes=writes))


def refuse_several(policies: Policies) -> None:
    """Raises PolicyError when there are several databases, for a command that may change only one of them."""
    names = [database.name for database in policies.databases]
    if len(names) > 1:
        raise PolicyError(
            [f"--database: required, because policies.yaml has {len(names)} databases; write one of "
             f"{', '.join(names)}. Nothing was changed"]
        )  # fmt: skip


def chosen_databases(loaded: settings.Settings, policies: Policies, wanted: str | None) -> Sequence[Database]:
    """The databases of the policies; only `wanted`, if given. Raises PolicyError when it does not exist."""
    names = [database.name for database in policies.databases]
    if not names:
        raise PolicyError([f"{loaded.policies}: databases: at least one database is required"])
    if wanted is not None and wanted not in names:
        raise PolicyError([f'--database: database "{wanted}" does not exist; {nearest(wanted, names)}'])
    return [database for database in policies.databases if wanted in (None, database.name)]


def connections(
    resolved: settings.Settings,
    databases: Sequence[Database],
    name: str,
    away: list[str],
    require: Callable[[Connection], None] = _anything,
) -> Iterator[tuple[Database, Connection]]:
    """Each database with a connection. The problems of those that do not answer, or that `require` refuses,
    are appended to `away`."""
    for database in databases:
        with ExitStack() as opened:
            try:
                connection = opened.enter_context(connect_to(database, settings.environment(resolved), name))
                require(connection)
            except DatabaseUnavailableError as error:
                away.append(f"{database.name}: {error}")
                continue
            yield database, connection


def _required(*, writes: bool) -> Callable[[Connection], None]:
    return refuse_unready if writes else refuse_unmigrated


def url_of(resolved: settings.Settings) -> str:
    """The URL of the database that `OPS_DATABASE_URL` names."""
    return str(resolved.database_url)  # `embedded.resolved` has filled it in
