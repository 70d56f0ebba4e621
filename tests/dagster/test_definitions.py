"""What Dagster is told about the shipped policies."""

from pathlib import Path

import dagster as dg
import pytest

from ops_pipeline import policy
from ops_pipeline.orchestration import gather, night

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return gather.definitions(policy.load(REPOSITORY / "policies.yaml"))


def test_every_policy_is_an_asset_after_those_it_depends_on(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()

    before = {
        node.key.to_user_string(): {parent.to_user_string() for parent in node.parent_keys}
        for node in graph.asset_nodes
    }
    retention = {"app/retention/sessions", "app/retention/audit_logs"}
    assert before == {
        "app/retention/sessions": set(),
        "app/retention/audit_logs": set(),
        "app/orphans/memories": retention,
        "app/vacuum": {"app/orphans/memories"},
    }
    assert {node.group_name for node in graph.asset_nodes} == {"app"}


def test_every_policy_that_removes_rows_has_its_check(definitions: dg.Definitions) -> None:
    checks = definitions.resolve_asset_graph().asset_check_keys

    assert {(each.asset_key.to_user_string(), each.name) for each in checks} == {
        ("app/retention/sessions", "nothing_expired_left"),
        ("app/retention/audit_logs", "nothing_expired_left"),
        ("app/orphans/memories", "nothing_orphaned_left"),
    }


def test_the_night_is_at_two_and_on_by_default(definitions: dg.Definitions) -> None:
    schedule = definitions.resolve_schedule_def("nightly")

    assert schedule.cron_schedule == "0 2 * * *"
    assert schedule.execution_timezone == "UTC"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.job_name == night.JOB


def test_the_entry_point_loads_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)

    from ops_pipeline.definitions import defs  # noqa: PLC0415 - it reads the environment when imported

    dg.Definitions.validate_loadable(defs)
