"""A run in a terminal shows its progress."""

import re
import time
from io import StringIO

from rich.console import Console

from ops_pipeline.cli.progress import watching
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.postgres.connection import Connection

PROGRESS = re.compile(r"app/retention/sessions .* (\d+)%  [\d,]+/s, [\d,]+ s remaining")


def test_a_run_shows_its_share_its_rate_and_the_time_left(
    application: Connection, url: str, retention: Retention, small_batches: None
) -> None:
    screen = StringIO()
    shown: list[int] = []

    def stop() -> str | None:
        """Called between batches; at the fourth it waits until progress has been shown."""
        shown.append(len(shown))
        deadline = time.monotonic() + 20
        while len(shown) == 4 and not _progress(screen) and time.monotonic() < deadline:
            time.sleep(0.05)
        return None

    console = Console(file=screen, force_terminal=True, width=160, color_system=None)
    with watching(console, [url]) as progress:
        progress.started("the-run")
        result = carry_out(application, retention, dagster_run_id="the-run", stop=stop)

    assert result.outcome == "done"
    (share, *_) = _progress(screen)
    assert 0 < share < 100


def test_a_run_into_a_pipe_prints_a_line_for_each_policy(
    application: Connection, url: str, retention: Retention
) -> None:
    screen = StringIO()

    with watching(Console(file=screen, width=160), [url]) as progress:
        carry_out(application, retention, dagster_run_id="another-run")
        application.execute("INSERT INTO sessions (created_at) SELECT now() - interval '90 days'")
        progress.started("the-run")
        carry_out(application, retention, dagster_run_id="the-run")

    created, ended = screen.getvalue().splitlines()
    assert created == "Dagster run the-run has been created"
    assert re.fullmatch(r"app/retention/sessions: done, 1 row removed, \d+\.\d s", ended)


def _progress(screen: StringIO) -> list[int]:
    return [int(share) for share in PROGRESS.findall(screen.getvalue())]
