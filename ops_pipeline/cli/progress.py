"""Shows the progress of a run: on a terminal a table drawn again and again, in a pipe a line a policy."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psycopg
from rich.console import Console
from rich.live import Live

from ops_pipeline.cli import tables
from ops_pipeline.cli.table import Table
from ops_pipeline.counted import counted
from ops_pipeline.maintenance import history
from ops_pipeline.maintenance.result import RunResult
from ops_pipeline.postgres.connection import DatabaseUnavailableError, connect

REFRESHES_A_SECOND = 4
LOOK_EVERY_SECONDS = 1.0


@contextmanager
def watching(console: Console, urls: Sequence[str]) -> Iterator["Progress"]:
    """Shows the policies' progress until the context ends, once `started` says which run it is."""
    progress = Progress(console, urls)
    if console.is_terminal:
        with Live(
            get_renderable=progress.drawn, console=console, transient=True,
            refresh_per_second=REFRESHES_A_SECOND,
        ):  # fmt: skip
            yield progress
        return
    ended = threading.Event()
    watcher = threading.Thread(target=progress.follow, args=(ended,), name="follow the run")
    watcher.start()
    try:
        yield progress
    finally:
        ended.set()
        watcher.join()


@dataclass
class Progress:
    """What the policies of a run have done so far, by the history of their databases."""

    console: Console
    urls: Sequence[str]
    run_id: str | None = None
    results: list[RunResult] = field(default_factory=list)
    printed: set[str] = field(default_factory=set)

    def started(self, run_id: str) -> None:
        """Says which Dagster run it is."""
        self.run_id = run_id
        self.say(f"Dagster run {run_id} has been created")

    def say(self, sentence: str) -> None:
        """Prints a line; on a terminal above the table."""
        self.console.print(sentence, markup=False, highlight=False)

    def drawn(self) -> Table:
        """The table of what each policy has done so far."""
        self._read()
        return tables.results_table(self.results)

    def follow(self, ended: threading.Event) -> None:
        """Prints a line for each policy when it ends, until the run has `ended`."""
        while not ended.wait(LOOK_EVERY_SECONDS):
            self._print_ended()
        self._print_ended()

    def _print_ended(self) -> None:
        self._read()
        for result in self.results:
            if result.outcome != "running" and result.policy not in self.printed:
                self.printed.add(result.policy)
                self.say(ended_line(result))

    def _read(self) -> None:
        if self.run_id is None:
            return
        results: list[RunResult] = []
        with suppress(DatabaseUnavailableError, psycopg.Error):  # the run itself reports the database
            for url in self.urls:
                with connect(url, "opsctl watch", statement_timeout="2s") as connection:
                    results += history.results(connection, dagster_run_id=self.run_id)
            self.results = results


def ended_line(result: RunResult) -> str:
    """What a policy has done, in one line."""
    removed = f", {counted(result.removed, 'row')} removed" if result.removed else ""
    return f"{result.policy}: {result.outcome.replace('_', ' ')}{removed}, {result.seconds:.1f} s"
