"""A new kind of policy is one file and an entry in the table of kinds; no other code changes."""

from pathlib import Path

import dagster as dg
import pytest

from ops_pipeline.cli import tables
from ops_pipeline.maintenance import history, kinds
from ops_pipeline.maintenance.plan import Plan, Unplanned
from ops_pipeline.orchestration.definitions import build_definitions
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.refresh_kind import REFRESH

FILE = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention: [{table: sessions, column: created_at, keep: 30 days}]
    refresh: [{view: sessions_a_day}, {view: not_there}]
"""


@pytest.fixture
def policies(application: Connection, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Policies:
    monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, REFRESH))
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    application.execute(
        "CREATE MATERIALIZED VIEW sessions_a_day AS "
        "SELECT created_at::date AS day, count(*) FROM sessions GROUP BY 1 WITH NO DATA"
    )
    file = tmp_path / "policies.yaml"
    file.write_text(FILE)
    return kinds.load(file)


def test_it_is_planned_carried_out_and_in_the_history(application: Connection, policies: Policies) -> None:
    sessions, refresh, missing = kinds.plan(application, policies.databases[0].policies)

    assert isinstance(sessions, Plan)
    assert isinstance(refresh, Plan)
    assert refresh.policy == "app/refresh/sessions_a_day"
    assert refresh.method.why == "it is empty"
    assert isinstance(missing, Unplanned)
    assert "policies.yaml:7: databases.app.refresh[1].view: materialized view" in missing.problem
    assert tables.plan_table([sessions, refresh, missing]).row_count == 2

    result = kinds.carry_out(application, policies.databases[0].policies[1])

    assert result.outcome == "done"
    assert scalar(application, "SELECT count(*) FROM sessions_a_day") > 0
    assert history.last(application, "app/refresh/sessions_a_day") == result


def test_dagster_carries_it_out_and_checks_it(application: Connection, policies: Policies) -> None:
    job = build_definitions(policies).resolve_job_def("nightly_app")

    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)

    materialized = {
        event.asset_key.to_user_string()
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    assert "app/refresh/sessions_a_day" in materialized
    checks = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert checks["view_populated"]
