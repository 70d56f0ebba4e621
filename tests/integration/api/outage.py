"""A database that can become unreachable in each of the usual ways."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from ops_pipeline.postgres import embedded
from tests.integration.api.proxy import Proxy


@dataclass
class Outage:
    """The test's own server, and the network between it and an API."""

    server: embedded.Server
    folder: Path
    proxy: Proxy

    @classmethod
    @contextmanager
    def of_its_own(cls, folder: Path) -> Iterator["Outage"]:
        """A server that is reachable."""
        with embedded.running(folder) as server:
            proxy = Proxy(server.port)
            yield cls(server, folder, proxy)
            proxy.close()

    @property
    def url(self) -> str:
        """The URL of the database through the network that can be cut."""
        return f"postgresql://postgres:{self.server.password}@127.0.0.1:{self.proxy.port}/app"

    @property
    def direct(self) -> str:
        """The URL past that network."""
        return self.server.url("app")

    @contextmanager
    def none(self) -> Iterator[None]:
        """No fault."""
        yield

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Every process of the server is stopped; its connections stay open."""
        stopped = self._processes()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextmanager
    def black_holed(self) -> Iterator[None]:
        """All data is dropped, as by a firewall that drops packets."""
        self.proxy.swallow()
        try:
            yield
        finally:
            self.proxy.guard_passed()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """The server refuses connections, as while it starts or stops."""
        with psycopg.connect(self.server.url("postgres"), autocommit=True) as session:
            session.execute("ALTER DATABASE app ALLOW_CONNECTIONS false")
            session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app'")
            try:
                yield
            finally:
                session.execute("ALTER DATABASE app ALLOW_CONNECTIONS true")

    def _processes(self) -> list[int]:
        postmaster = int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return [postmaster, *map(int, children)]
