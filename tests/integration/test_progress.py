"""A run in a terminal shows its progress."""

import re
import time
from io import StringIO

from rich.console import Console

from ops_pipeline.cli import run
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.postgres.connection import Connection

PROGRESS = re.compile(r"app/retention/sessions .* (\d+)%  [\d,]+/s, [\d,]+ s left")


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
    with run.watching(console, [url]):
        result = carry_out(application, retention, stop=stop)

    assert result.outcome == "done"
    (share, *_) = _progress(screen)
    assert 0 < share < 100


def test_output_into_a_pipe_has_no_progress_bar(url: str) -> None:
    screen = StringIO()

    with run.watching(Console(file=screen), [url]):
        time.sleep(2 / run.REFRESHES_A_SECOND)

    assert screen.getvalue() == ""


def _progress(screen: StringIO) -> list[int]:
    return [int(share) for share in PROGRESS.findall(screen.getvalue())]
