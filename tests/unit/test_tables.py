"""Tables for people never cut or break a number, an id or a name; into a pipe a row is one line."""

import io
from collections.abc import Callable
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from rich.console import Console
from rich.text import Text

from ops_pipeline.access.keys import Key
from ops_pipeline.archive.manifest import ArchivedFile
from ops_pipeline.cli import output, tables
from ops_pipeline.cli.table import Table
from ops_pipeline.holds.holds import Hold
from ops_pipeline.maintenance.guard.approvals import StoredPlan
from ops_pipeline.maintenance.orphans.triggers import Trigger
from ops_pipeline.maintenance.overdue import LastRuns
from ops_pipeline.maintenance.plan import Method, Plan, RowCount
from ops_pipeline.maintenance.recent import RecordedRun
from ops_pipeline.maintenance.result import RunResult
from ops_pipeline.postgres.condition import Predicate, parse
from ops_pipeline.postgres.relation import Relation

WIDTHS = (60, 80, 120, output.UNWATCHED_WIDTH)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG = "warehouse_eu_central/orphans/billing.customer_payment_method_events.customer_id"
SHORT = "app/retention/sessions"
TABLE = "billing.customer_payment_method_events_archive_2026"
DAGSTER_RUN = "79e10274-dea2-463c-8282-790bd9e70690"
SHA256 = "ffe47167dea380963dc52d8514fcca2a9541860454cbf079833f8fcd9ee91813"
FILE = f"{TABLE}/day=2026-08-03/part-2-1-1073df5b.parquet"
KEY = UUID("0b6f1a52-7c1e-4a8e-9a51-2f2e3a1d9c11")
PREDICATE: Predicate = parse("tenant_id = 7123456789 AND created_at >= '2026-01-01'")
REASON = f"this run would delete 12,345,678 of 98,765,432 rows of {TABLE} (75.84%, guard.max_fraction is 50%)"


def _plan(policy: str) -> Plan:
    rows = RowCount(
        12_345_678, 98_765_432, bytes=9_876_543_210, on_hold=1_234_567, null=7_654_321, oldest=NOON
    )
    method = Method("block-range scan")
    return Plan(policy=policy, method=method, rows=rows, seconds=12_345, dead_tuples=23_456_789)


def _stored(policy: str) -> StoredPlan:
    return StoredPlan(
        "c1e55c5e", policy, {}, NOON, NOON, 12_345_678, 98_765_432, 0.125, True, (REASON,), NOON,
        follows="d93f0a1b",
    )  # fmt: skip


def _result(policy: str) -> RunResult:
    return RunResult(
        policy, "needs_approval", REASON, scanned=98_765_432, removed=12_345_678, remaining=7_654_321,
        seconds=12345.6, dead_tuples_before=23_456_789, dead_tuples_after=1_234_567, archived=12_345_679,
    )  # fmt: skip


def _recorded(policy: str) -> RecordedRun:
    return RecordedRun(
        1_234_567, policy, "needs_approval", REASON, NOON, NOON, 12345.6, 12_345_678, 12_345_679, 7_654_321,
        DAGSTER_RUN,
    )  # fmt: skip


def _last(policy: str) -> LastRuns:
    return LastRuns(
        policy, NOON, 0, "needs_approval", REASON, "needs_approval", NOON, NOON, 12_345_678, 98_765_432
    )


def _key(name: str) -> Key:
    scopes = ("audit:read", "audit:export", "maintenance:read")
    return Key(KEY, name, scopes, NOON, None, NOON, NOON, NOON)


def _hold(table: str) -> Hold:
    return Hold(
        1_234_567, table, PREDICATE, "litigation 2026-117, see the ticket of the legal department",
        "legal-department@example.com", NOON, "first.last@example.com", NOON, NOON, "another@example.com",
    )  # fmt: skip


def _archived(table: str) -> ArchivedFile:
    schema, name = table.split(".")
    return ArchivedFile(
        path=FILE, rows=12_345_678, bytes=9_876_543_210, sha256=SHA256, day=date(2026, 8, 3),
        oldest=NOON, newest=NOON, id=1, policy=LONG, run_id=1, table_schema=schema, table_name=name,
        day_column=None, columns=(), cutoff=NOON, created_at=NOON, stored_at=NOON, verified_at=NOON,
        verified_ok=True, restored_at=NOON, restored_into=None, temporary_path="",
    )  # fmt: skip


def _trigger(policy: str) -> Trigger:
    return Trigger(policy, "ops_track_0123456789abcdef_delete", Relation(1, *TABLE.split(".")))


ROWS = ["12,345,678", "98,765,432"]
RUN = [LONG, "needs approval", "12,345,678"]
TABLES: dict[Callable[..., Table], tuple[object, object, list[str]]] = {
    tables.plan_table: (
        _plan(SHORT), _plan(LONG),
        [LONG, *ROWS, "12.5%", "9.9 GB", "2026-03-01", "1,234,567", "7,654,321", "23,456,789", "12,345 s"],
    ),
    tables.plans_table: (
        _stored(SHORT), _stored(LONG), [LONG, "c1e55c5e", *ROWS, "12.5%", "d93f0a1b", TABLE],
    ),
    tables.results_table: (
        _result(SHORT), _result(LONG),
        [*RUN, "12,345,679", "7,654,321", "98,765,432", "23,456,789 → 1,234,567", "12345.6"],
    ),
    tables.history_table: (
        _recorded(SHORT), _recorded(LONG),
        [*RUN, "12,345,679", "7,654,321", "12,345.6", "1234567", DAGSTER_RUN, "2026-03-01 12:00"],
    ),
    tables.status_table: (_last(SHORT), _last(LONG), [*RUN, "98,765,432", "2026-03-01 12:00"]),
    tables.keys_table: (
        _key("ci"), _key("the-nightly-export-of-the-data-warehouse-team"),
        [str(KEY), "the-nightly-export-of-the-data-warehouse-team", "audit:export", "maintenance:read"],
    ),
    tables.holds_table: (
        ("app", _hold("public.sessions")), ("warehouse_eu_central", _hold(TABLE)),
        [
            "warehouse_eu_central", "1234567", TABLE, "7123456789", "another@example.com",
            "first.last@example.com",
        ],
    ),
    tables.archives_table: (
        ("app", _archived("public.sessions")), ("warehouse_eu_central", _archived(TABLE)),
        ["warehouse_eu_central", TABLE, "2026-08-03", "12,345,678", FILE, SHA256],
    ),
    tables.triggers_table: (
        _trigger(SHORT), _trigger(LONG), [LONG, TABLE, "ops_track_0123456789abcdef_delete"],
    ),
}  # fmt: skip


def _printed(monkeypatch: pytest.MonkeyPatch, width: int, *lines: object) -> str:
    file = io.StringIO()
    monkeypatch.setattr(output, "console", Console(file=file, width=width, soft_wrap=True))
    output.answer(None, *lines, as_json=False)  # type: ignore[arg-type]  # tables and strings
    return file.getvalue()


def test_every_table_is_among_them() -> None:
    assert {function.__name__ for function in TABLES} == {
        name for name in vars(tables) if name.endswith("_table")
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("function", TABLES, ids=lambda function: str(function.__name__))
def test_every_id_number_and_name_is_whole(
    function: Callable[..., Table], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    *rows, wholes = TABLES[function]
    shown = _printed(monkeypatch, width, function(rows))

    for whole in wholes:
        assert whole in shown, whole
    assert "…" not in shown
    assert "\x1b" not in shown
    too_long = [line for line in shown.splitlines() if len(line) > width and len(line.split()) > 2]
    assert not too_long, "only a name that is longer than the line may be"
    if width == output.UNWATCHED_WIDTH:
        assert len(shown.splitlines()) == 3, "the titles and a line for each row"


def test_a_column_moves_below_the_row_before_another_is_squeezed(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("name", "rows:>", "sha", "why:~")
    table.add_row("sessions", "1,234", "0123456789abcdef", "a reason in a sentence")
    table.add_row("memories", "7", "fedcba9876543210", "")

    assert _printed(monkeypatch, 30, table) == (
        "name       rows\n"
        "sessions  1,234\n"
        "    sha: 0123456789abcdef\n"
        "    why: a reason in a\n"
        "    sentence\n"
        "memories      7\n"
        "    sha: fedcba9876543210\n"
    )


def test_a_sentence_wraps_in_its_column_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("name", "why:~")
    table.add_row("sessions", "a reason that is a whole sentence")

    assert _printed(monkeypatch, 40, table) == (
        "name      why\nsessions  a reason that is a whole\n          sentence\n"
    )


def test_a_column_without_content_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("name", "on hold:>", "rows:>")
    table.add_row("sessions", "", "7")

    assert _printed(monkeypatch, 80, table) == "name      rows\nsessions     7\n"


def test_a_name_from_a_database_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("name")
    table.add_row("[red]a\x1b[31m\nb[/]")

    shown = _printed(monkeypatch, 80, table, "a name [x] as it is")

    assert shown == "name\n[red]a\\x1b[31m\\nb[/]\na name [x] as it is\n"


def test_colors_are_not_part_of_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("outcome")
    table.add_row(Text("done", "green"))

    assert _printed(monkeypatch, output.UNWATCHED_WIDTH, table) == "outcome\ndone\n"
