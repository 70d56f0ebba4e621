"""Tables for people never cut a number, an id or a name; into a pipe they are as wide as needed."""

import io
import re
from datetime import UTC, datetime

import pytest
from rich.console import Console

from ops_pipeline.cli import output, tables
from ops_pipeline.maintenance.guard.approvals import StoredPlan
from ops_pipeline.maintenance.result import RunResult

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAN = StoredPlan(
    "11e55c5e", "app/retention/a_table_with_a_long_name", {}, NOON, NOON, 1_234_567, 7_654_321, 0.161, True,
    ("a reason that is a whole sentence, as the guard has them, with [brackets] in it",), NOON,
)  # fmt: skip
RUN = RunResult(
    "app/orphans/memories.session_id", "done", "completed", examined=12_345_678, removed=1_234_567, left=0,
    seconds=1234.5, dead_tuples_before=7_654_321, archived=1_234_567,
)  # fmt: skip


def _printed(monkeypatch: pytest.MonkeyPatch, width: int, *lines: object) -> str:
    file = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=file, width=width, soft_wrap=True))
    output.answer(None, *lines, as_json=False)  # type: ignore[arg-type]  # tables and strings
    return file.getvalue()


@pytest.mark.parametrize("width", [80, output.UNWATCHED_WIDTH])
def test_no_number_id_or_name_is_cut(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    shown = _printed(
        monkeypatch, width, tables.plans_table([PLAN]), tables.results_table([RUN]), "a name [x] as it is"
    )

    assert "…" not in shown
    for whole in ("11e55c5e", "1,234,567", "7,654,321", "16.1%", "12,345,678", "1234.5"):
        assert whole in shown, whole
    assert "[green]" not in shown
    assert "a name [x] as it is" in shown
    text = re.sub(r"\s+", "", shown)
    if width > 80:
        assert "app/retention/a_table_with_a_long_name" in text
        assert "with[brackets]init" in text
