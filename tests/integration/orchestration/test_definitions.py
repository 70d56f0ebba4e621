"""The Dagster definitions of the shipped policies."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration import order
from ops_pipeline.orchestration.definitions import build_definitions
from tests.integration.orchestration import snapshot

EMBEDDED = "postgresql://postgres:secret@127.0.0.1:54321/app"
AWKWARD = """
version: 1
databases:
  app:
    url: x
    retention:
      - {table: vacuum, column: at, keep: 1 day}
      - {table: sessions, column: at, keep: 1 day}
      - {table: billing.invoices, column: at, keep: 1 day, partition: day, archive: true}
      - {table: billing_invoices, column: at, keep: 1 day, partition: day, archive: true}
      - {table: billing_invoices, column: ended_at, keep: 1 day, name: ended}
      - {table: billing__invoices, column: at, keep: 1 day}
      - {table: a/b c, column: at, keep: 1 day}
      - {table: '"a.b"', column: at, keep: 1 day}
      - {table: größe, column: at, keep: 1 day}
    orphans:
      - {table: memories, column: session_id, references: sessions.id}
      - {table: memories, column: user_id, references: users.id}
    vacuum: {tables: all}
"""


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return snapshot.shipped()


def test_the_definitions_are_those_of_the_reviewed_snapshot(definitions: dg.Definitions) -> None:
    now = snapshot.as_text(snapshot.describe(definitions))

    assert now == snapshot.FILE.read_text(encoding="utf-8"), (
        f"The definitions have changed. If that is meant: {snapshot.COMMAND}, and review the file's diff."
    )


def test_every_policy_is_an_asset_after_its_tables_and_no_step_skips_another(
    definitions: dg.Definitions,
) -> None:
    graph = definitions.resolve_asset_graph()

    before = {
        node.key.to_user_string(): {parent.to_user_string() for parent in node.parent_keys}
        for node in graph.asset_nodes
        if node.key.path[:2] in (["app", "retention"], ["app", "orphans"], ["app", "vacuum"])
    }
    assert before == {
        "app/retention/sessions": {"app/tables/app.public.sessions"},
        "app/retention/audit_logs": {"app/tables/app.public.audit_logs"},
        "app/orphans/memories.session_id": {
            "app/tables/app.public.memories",
            "app/tables/app.public.sessions",
        },
        "app/vacuum": set(),
    }


def test_retention_comes_before_orphans_and_vacuum_last() -> None:
    (database,) = kinds.load(snapshot.REPOSITORY / "policies.yaml").databases
    *retention, orphans, vacuum = database.policies

    assert not order.before(retention[0], database.policies)
    assert order.before(orphans, database.policies) == [retention[0]], "whose rows are its parents"
    assert list(order.before(vacuum, database.policies)) == [*retention, orphans]
    priorities = [
        int(order.priority(policy, database.policies)["dagster/priority"]) for policy in database.policies
    ]
    assert priorities == sorted(priorities, reverse=True)


def test_assets_have_the_owners_and_tags_of_the_file_and_the_names_of_their_tables(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(AWKWARD.replace("url: x", "url: x\n    owners: [team:payments]\n    tags: {tier: gold}"))

    graph = build_definitions(kinds.load(file)).resolve_asset_graph()

    policy = graph.get(dg.AssetKey(["app", "retention", "billing.invoices"]))
    assert (policy.owners, policy.tags["tier"]) == (("team:payments",), "gold")
    table = graph.get(dg.AssetKey(["app", "tables", "app.billing.invoices"]))
    assert table.metadata["dagster/table_name"] == "app.billing.invoices"


def test_definitions_load_whatever_tables_and_columns_are_called(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(AWKWARD)

    built = build_definitions(kinds.load(file))

    dg.Definitions.validate_loadable(built)
    graph = built.resolve_asset_graph()
    policies = {key for key in graph.materializable_asset_keys if key.path[0] == "app"}
    assert len(policies) == 12 + 2, "every policy, and the days of two archives"


def test_the_nightly_run_is_at_two_and_on_by_default(definitions: dg.Definitions) -> None:
    schedule = definitions.resolve_schedule_def("nightly_app")

    assert schedule.cron_schedule == "0 2 * * *"
    assert schedule.execution_timezone == "UTC"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.job_name == "nightly_app"


@pytest.mark.parametrize(
    ("environment", "status"),
    [
        ({}, dg.DefaultScheduleStatus.RUNNING),
        ({"DAGSTER_IS_DEV_CLI": "1"}, dg.DefaultScheduleStatus.STOPPED),
        ({"DAGSTER_IS_DEV_CLI": "1", "OPS_DATABASE_URL": EMBEDDED}, dg.DefaultScheduleStatus.RUNNING),
    ],
)
def test_the_schedule_is_off_only_for_a_developer_on_a_database_of_their_own(
    environment: dict[str, str],
    status: dg.DefaultScheduleStatus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder := tmp_path / ".local" / "postgres").mkdir(parents=True)
    (folder / "port").write_text("54321")
    (folder / "password").write_text("secret")
    monkeypatch.setenv("OPS_DATABASE_URL", "postgresql://ops:secret@db.example.org/app")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    schedule = snapshot.shipped().resolve_schedule_def("nightly_app")

    assert schedule.default_status is status


@pytest.mark.parametrize("cron", ["0 2 * * *", "30 2 * * *", "0 3 * * *"])
@pytest.mark.parametrize("day", [datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)])
def test_the_nightly_run_runs_once_when_the_clocks_change(cron: str, day: datetime) -> None:
    """In Berlin, 02:30 does not exist on 2026-03-29 and comes twice on 2026-10-25."""
    ticks = schedule_execution_time_iterator(day.timestamp(), cron, "Europe/Berlin")

    days = [next(ticks).date() for _ in range(4)]

    assert [(day - days[0]).days for day in days] == [0, 1, 2, 3]


def test_the_entry_point_loads_while_the_database_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(snapshot.REPOSITORY)
    monkeypatch.setenv("OPS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/app")

    from ops_pipeline.definitions import defs  # noqa: PLC0415 - it reads the environment when imported

    dg.Definitions.validate_loadable(defs)
