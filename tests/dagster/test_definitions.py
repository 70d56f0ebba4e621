"""What Dagster is told about the shipped policies."""

from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from tests.dagster import snapshot


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return snapshot.shipped()


def test_a_change_of_the_graph_is_seen_in_review(definitions: dg.Definitions) -> None:
    now = snapshot.as_text(snapshot.describe(definitions))

    assert now == snapshot.FILE.read_text(encoding="utf-8"), (
        f"The definitions have changed. If that is meant: {snapshot.COMMAND}, and review the file's diff."
    )


def test_every_policy_is_an_asset_after_those_it_depends_on(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()

    before = {
        node.key.to_user_string(): {parent.to_user_string() for parent in node.parent_keys}
        for node in graph.asset_nodes
        if node.key.path[:2] in (["app", "retention"], ["app", "orphans"], ["app", "vacuum"])
    }
    retention = {"app/retention/sessions", "app/retention/audit_logs"}
    assert before == {
        "app/retention/sessions": {"app/tables/sessions"},
        "app/retention/audit_logs": {"app/tables/audit_logs"},
        "app/orphans/memories": retention | {"app/tables/memories", "app/tables/sessions"},
        "app/vacuum": {"app/orphans/memories"},
    }


def test_the_night_is_at_two_and_on_by_default(definitions: dg.Definitions) -> None:
    schedule = definitions.resolve_schedule_def("nightly_app")

    assert schedule.cron_schedule == "0 2 * * *"
    assert schedule.execution_timezone == "UTC"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.job_name == "nightly_app"


@pytest.mark.parametrize("cron", ["0 2 * * *", "30 2 * * *", "0 3 * * *"])
@pytest.mark.parametrize("day", [datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)])
def test_the_nights_on_which_clocks_change_run_once_each(cron: str, day: datetime) -> None:
    """Berlin has no 02:30 on 2026-03-29, and two of them on 2026-10-25."""
    ticks = schedule_execution_time_iterator(day.timestamp(), cron, "Europe/Berlin")

    days = [next(ticks).date() for _ in range(4)]

    assert [(each - days[0]).days for each in days] == [0, 1, 2, 3]


def test_the_entry_point_loads_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(snapshot.REPOSITORY)

    from ops_pipeline.definitions import defs  # noqa: PLC0415 - it reads the environment when imported

    dg.Definitions.validate_loadable(defs)
