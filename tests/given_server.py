"""Runs the tests on the server in OPS_TEST_DATABASE_URL instead of one that they start."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import conninfo
from psycopg import sql as compose

from ops_pipeline.postgres import embedded

NAMES = {
    "DATABASE": "SELECT datname FROM pg_database",
    "ROLE": "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'",
}


@dataclass(frozen=True, slots=True)
class GivenServer(embedded.Server):
    """An existing server. `address`: the URL of one of its databases."""

    address: str = ""

    def url(self, database: str) -> str:
        return embedded.beside(self.address, database)


@contextmanager
def given(address: str) -> Iterator[GivenServer]:
    """The server of that URL, whose user must be a superuser; drops the tests' databases and roles."""
    parameters = conninfo.conninfo_to_dict(address)
    server = GivenServer(int(parameters.get("port") or 5432), str(parameters.get("password") or ""), address)
    with psycopg.connect(address, autocommit=True) as session:
        before = {kind: _names(session, kind) for kind in NAMES}
        yield server
        for kind, force in (("DATABASE", " WITH (FORCE)"), ("ROLE", "")):
            for name in _names(session, kind) - before[kind]:
                drop = f"DROP {kind} {{}}{force}"
                session.execute(compose.SQL(drop).format(compose.Identifier(name)))


def _names(session: psycopg.Connection[tuple[str]], kind: str) -> set[str]:
    return {name for (name,) in session.execute(NAMES[kind])}
