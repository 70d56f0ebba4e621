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
    """A server of the test's own, and the network that lies between it and an API."""

    server: embedded.Server
    folder: Path
    proxy: Proxy

    @classmethod
    @contextmanager
    def of_its_own(cls, folder: Path) -> Iterator["Outage"]:
        """Nothing of it is away yet."""
        with embedded.running(folder) as server:
            proxy = Proxy(server.port)
            yield cls(server, folder, proxy)
            proxy.close()

    @property
    def url(self) -> str:
        """The way to the database through the network that can be cut."""
        return f"postgresql://postgres:{self.server.password}@127.0.0.1:{self.proxy.port}/app"

    @property
    def direct(self) -> str:
        """The way that cannot."""
        return self.server.url("app")

    @contextmanager
    def none(self) -> Iterator[None]:
        """All is well."""
        yield

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Every process of the server is stopped, its connections stay."""
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
        """Every packet is swallowed, as by a firewall that drops them."""
        self.proxy.swallow()
        try:
            yield
        finally:
            self.proxy.guard_passed()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """The server is there and says no, as one that starts or stops does."""
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
