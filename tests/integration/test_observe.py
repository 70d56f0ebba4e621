"""Policies that are observed only: planned and recorded each night, and nothing is changed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import sql as compose

from ops_pipeline.maintenance.kinds import carry_out, kind_of, plan
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.maintenance.result import RefusedError, RunResult
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings
from tests.integration.conftest import POLICIES, Done

OBSERVED = POLICIES.replace("    retention:", "    mode: observe\n    retention:").replace(
    "keep: 30 days", "keep: 30 days, archive: true, guard: {max_rows: 10}"
)
ONLY_RETENTION = POLICIES.replace("keep: 30 days", "keep: 30 days, mode: observe")
PARTITIONED = """
CREATE TABLE visits (at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2020-01-01+00') TO ('2020-01-02+00');
CREATE TABLE visits_rest PARTITION OF visits DEFAULT;
INSERT INTO visits VALUES ('2020-01-01 12:00+00'), (now()), (now() - interval '1 day');
"""
TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') ORDER BY 1, 2
"""
WRITES = """
SELECT relname, n_tup_del, n_tup_upd, vacuum_count, analyze_count FROM pg_stat_user_tables
WHERE schemaname = 'public' AND relname <> 'audit_logs' AND relname NOT LIKE 'audit_logs_%' ORDER BY 1
"""


def _content(connection: Connection) -> dict[str, object]:
    """Every row of every table of the application, and what was done to each table."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    names = [name for _, name in connection.execute(TABLES) if not name.startswith("audit_logs")]
    rows = compose.SQL("SELECT array_agg(t::text ORDER BY t::text) FROM ONLY {} AS t")
    return {
        **{name: scalar(connection, rows.format(compose.Identifier(name))) for name in names},
        "statistics": connection.execute(WRITES).fetchall(),
    }


def _run(connection: Connection, database: Database, settings: Settings) -> list[RunResult]:
    return [carry_out(connection, policy, settings=settings) for policy in database.policies]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "archive").mkdir()
    return Settings(archive_url=str(tmp_path / "archive"))


@pytest.fixture
def chain(application: Connection) -> Connection:
    """Each session has a memory; 7 more memories have no session."""
    application.execute("INSERT INTO memories (session_id) SELECT id FROM sessions")
    application.execute(
        "INSERT INTO memories (session_id) SELECT gen_random_uuid() FROM generate_series(1, 7)"
    )
    application.execute("DELETE FROM memories WHERE session_id IS NULL; UPDATE sessions SET note = 'z'")
    return application


def test_every_kind_records_what_it_would_do_and_changes_nothing(
    chain: Connection, read: Callable[..., Database], settings: Settings, tmp_path: Path
) -> None:
    chain.execute(PARTITIONED)
    day = "\n    - {table: visits, column: at, keep: 90 days, partition: day, guard: {max_fraction: 1}}"
    text = OBSERVED.replace("retention: [", "retention:\n    - ", 1).replace(
        "max_rows: 10}}]", f"max_rows: 10}}}}{day}"
    )
    database = read(text)
    before = _content(chain)

    days, sessions, orphans, vacuum = sorted(
        _run(chain, database, settings), key=lambda result: ("visits" not in result.policy, result.run_id)
    )

    assert _content(chain) == before
    assert list((tmp_path / "archive").iterdir()) == []
    assert {result.outcome for result in (days, sessions, orphans, vacuum)} == {"observed"}
    assert (sessions.planned, sessions.remaining, sessions.removed) == (3000, 3000, 0)
    assert "observed only: this run would delete 3,000 of 6,000 rows" in sessions.stopped_reason
    assert "It would need approval: this run would delete 3,000 rows" in sessions.stopped_reason
    assert sessions.oldest is not None
    assert sessions.details["observed"]["rows"]["eligible"] == 3000
    assert orphans.planned == 3007, "with those that the observed retention would have made"
    assert days.planned == 1
    would = {table["table"]: table["action"] for table in vacuum.details["observed"]["planned_tables"]}
    assert would["public.sessions"] in {"vacuum", "freeze"}
    assert scalar(chain, "SELECT count(*) FROM ops.plans") == 0, "no approval is asked for"
    assert scalar(chain, "SELECT count(*) FROM ops.missing_parents") == 0
    assert scalar(chain, "SELECT count(*) FROM audit_logs WHERE action = 'rows.removed'") == 0


def test_the_checks_say_observed_and_are_not_red(
    chain: Connection, read: Callable[..., Database], settings: Settings
) -> None:
    database = read(OBSERVED)
    _run(chain, database, settings)
    found = {
        (policy.kind, check.name): check.ask(chain)
        for policy in database.policies
        for check in kind_of(policy).checks(policy)
        if check.name != "archive_verified"
    }

    assert [name for name, result in found.items() if not result.passed or result.fails_run] == []
    said = found["retention", "no_expired_rows"].description
    assert said.startswith("Observed only (mode: observe): 3,000 rows of sessions are older")
    assert "7 rows of memories" in found["orphans", "no_orphaned_rows"].description
    assert found["vacuum", "dead_rows_removed"].description.startswith("Observed only")


def test_the_plan_says_it_and_needs_no_approval(
    chain: Connection,
    opsctl: Callable[..., Done],
    settings: Settings,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    monkeypatch.setenv("OPS_ARCHIVE_URL", str(settings.archive_url))
    (tmp_path / "policies.yaml").write_text(OBSERVED)

    planned = opsctl("plan")

    assert planned.code == 0
    for policy in ("app/retention/sessions", "app/orphans/memories.session_id", "app/vacuum"):
        assert f"{policy}: observed only (mode: observe): a run records this plan" in planned.out
    assert "app/retention/sessions: would need approval: this run would delete 3,000" in planned.out


def test_an_enforced_policy_does_not_count_on_an_observed_one(
    chain: Connection, read: Callable[..., Database], settings: Settings
) -> None:
    database = read(ONLY_RETENTION)
    assert [policy.observe for policy in database.policies] == [True, False, False]
    sessions, memories, _ = plan(chain, database.policies)
    assert isinstance(sessions, DeletePlan)
    assert isinstance(memories, DeletePlan)
    assert (sessions.rows.eligible, memories.rows.eligible, memories.rows_deletable_later) == (3000, 7, 0)

    first, second, third = _run(chain, database, settings)

    assert [first.outcome, second.outcome, third.outcome] == ["observed", "done", "done"]
    assert (second.removed, second.remaining) == (7, 0)
    assert scalar(chain, "SELECT count(*) FROM sessions") == 6000
    assert scalar(chain, "SELECT count(*) FROM memories") == 6000


def test_a_policy_of_an_observed_database_can_be_enforced(
    chain: Connection, read: Callable[..., Database], settings: Settings
) -> None:
    text = OBSERVED.replace("grace_period: 0 seconds", "grace_period: 0 seconds, mode: enforce")
    database = read(text)

    results = _run(chain, database, settings)

    assert [result.outcome for result in results] == ["observed", "done", "observed"]
    assert results[1].removed == 7


def test_an_observed_policy_that_would_be_refused_is_refused(
    application: Connection, read: Callable[..., Database]
) -> None:
    text = POLICIES.replace("keep: 30 days", "keep: 30 days, mode: observe, archive: true")

    with pytest.raises(RefusedError, match="OPS_ARCHIVE_URL"):
        carry_out(application, read(text).policies[0], settings=Settings())
