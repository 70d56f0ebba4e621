"""Commands that write name `opsctl migrate` on a database with no tables of ours, or older ones; commands
that read change nothing."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from ops_pipeline import audit_log
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.plan import Unplanned
from ops_pipeline.orchestration.definitions import build_definitions
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.migrations import migrate
from ops_pipeline.postgres.ready import KNOWN_MIGRATIONS, NotMigratedError
from tests.integration.conftest import APPLICATION, SESSIONS, Done

WRITING = {
    "run": "run",
    "approve": "approve 0123abcd",
    "hold add": "hold add --table sessions --where t=1 --reason x --owner y",
    "hold release": "hold release 1",
    "hold confirm": "hold confirm 1",
    "archive verify": "archive verify",
    "archive restore": "archive restore --table sessions",
    "adopt": "adopt sessions",
    "track install": "track install app/orphans/memories.session_id",
    "import": "import cloudtrail .",
    "keys create": "keys create --name me --scope admin",
    "keys revoke": "keys revoke me",
}
READING = ["hold list", "archive list", "approve", "keys list"]
SHAPE = """
SELECT (SELECT array_agg(oid || relname ORDER BY oid) FROM pg_class WHERE relname !~ '^pg_'),
       (SELECT array_agg(nspname ORDER BY nspname) FROM pg_namespace WHERE nspname !~ '^pg_')
"""
LAST = "0016_table_of_run"


@pytest.fixture
def fresh(new_database: Callable[..., str]) -> str:
    """The small application's database, without any object of ours."""
    url = new_database()
    _fill(url)
    return url


@pytest.fixture
def older(new_database: Callable[..., str]) -> str:
    """The same database, migrated by an earlier version."""
    url = new_database()
    _fill(url)
    migrate(url, only={name for name in KNOWN_MIGRATIONS if name <= LAST})
    return url


@pytest.fixture(params=["fresh", "older"])
def unmigrated(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    url: str = request.getfixturevalue(request.param)
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    monkeypatch.setenv("OPS_ARCHIVE_URL", str(request.getfixturevalue("tmp_path")))
    with connect(url, "test") as connection:
        yield connection


@pytest.mark.parametrize("command", WRITING)
def test_commands_that_write_name_migrate_and_do_nothing(
    unmigrated: Connection, opsctl: Callable[..., Done], command: str
) -> None:
    before = unmigrated.execute(SHAPE).fetchall()

    done = opsctl(*WRITING[command].split())

    assert done.code in {1, 2}
    assert "Nothing was changed. Run: opsctl migrate" in done.err
    assert done.err.count("opsctl migrate") == 1
    assert unmigrated.execute(SHAPE).fetchall() == before
    assert _runs(unmigrated) == 0


@pytest.mark.parametrize("command", READING)
def test_commands_that_read_say_so_and_create_nothing(
    unmigrated: Connection, opsctl: Callable[..., Done], command: str
) -> None:
    before = unmigrated.execute(SHAPE).fetchall()

    done = opsctl(*command.split())

    assert done.code == 1
    assert "Run: opsctl migrate" in done.err
    assert unmigrated.execute(SHAPE).fetchall() == before


def test_a_plan_works_without_our_tables(unmigrated: Connection, opsctl: Callable[..., Done]) -> None:
    before = unmigrated.execute(SHAPE).fetchall()

    done = opsctl("plan")

    assert done.code in {0, 3}, done.err
    assert "sessions" in done.out
    assert unmigrated.execute(SHAPE).fetchall() == before


def test_a_plan_says_that_approval_is_needed_before_and_after_migrate(
    unmigrated: Connection, opsctl: Callable[..., Done]
) -> None:
    unmigrated.execute("INSERT INTO sessions (created_at) SELECT now() - interval '40 days'")

    before = opsctl("plan")
    assert opsctl("migrate").code == 0
    after = opsctl("plan")

    needs = "app/retention/sessions: needs approval: this run would delete 3,001 of 6,001 rows"
    for planned in (before, after):
        assert planned.code == 3, planned
        assert needs in planned.out
    assert "Plans were not stored, so they have no id to approve: app: Database" in before.out
    assert "opsctl approve" not in before.out
    assert "opsctl approve" in after.out


def test_a_policy_that_an_older_schema_cannot_plan_names_migrate(
    application: Connection, read: Callable[..., Database]
) -> None:
    application.execute("ALTER TABLE ops.maintenance_runs DROP details")
    application.execute("DELETE FROM ops.migrations WHERE name = '0008_history'")

    first, *_ = plan(application, read().policies)

    assert isinstance(first, Unplanned)
    assert "lacks Ops Pipeline's migration 0008_history" in first.problem
    assert "opsctl migrate" in first.problem


def test_no_run_that_looks_interrupted_is_recorded(
    unmigrated: Connection, read: Callable[..., Database]
) -> None:
    with pytest.raises(NotMigratedError):
        carry_out(unmigrated, read().policies[0])

    assert _runs(unmigrated) == 0
    assert scalar(unmigrated, "SELECT count(*) FROM sessions") == 6000


def test_a_step_names_migrate(unmigrated: Connection, tmp_path: Path, opsctl: Callable[..., Done]) -> None:
    job = build_definitions(kinds.load(tmp_path / "policies.yaml")).resolve_job_def("nightly_app")

    result = job.execute_in_process(raise_on_error=False)

    failures = [str(event.step_failure_data.error) for event in result.get_step_failure_events()]
    assert len(failures) >= 3
    assert all("Nothing was changed. Run: opsctl migrate" in failure for failure in failures), failures
    assert _runs(unmigrated) == 0


def test_one_unmigrated_database_does_not_stop_the_others(
    fresh: str,
    url: str,
    opsctl: Callable[..., Done],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    application: Connection,
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    monkeypatch.setenv("OPS_DAGSTER_DATABASE_URL", fresh)
    policy = "retention: [{table: sessions, column: created_at, keep: 30 days}]"
    (tmp_path / "policies.yaml").write_text(
        f"version: 1\ndatabases:\n  first: {{url: '{fresh}', {policy}}}\n"
        f"  second: {{url: '{url}', {policy}}}\n"
    )

    done = opsctl("hold", "list", "--database", "second")
    refused = opsctl("hold", "list", "--database", "first")

    assert done.code == 0, done.err
    assert (refused.code, refused.err.count("opsctl migrate")) == (1, 1)


def test_the_library_names_migrate(fresh: str) -> None:
    with connect(fresh, "test") as connection:
        repository = audit_log.AuditLogRepository(connection)
        with pytest.raises(NotMigratedError, match="has no tables of Ops Pipeline yet"):
            repository.cleanup_old_logs()


def test_the_api_does_not_start(unmigrated: Connection, tmp_path: Path) -> None:
    api = subprocess.run(
        [sys.executable, "-m", "api"],
        cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert api.returncode == 1
    assert api.stderr.splitlines()[-1].startswith("The API cannot start: Database")
    assert "Run: opsctl migrate" in api.stderr


def test_a_login_that_may_not_read_our_schema_is_refused_with_the_grant(
    application: Connection, read: Callable[..., Database]
) -> None:
    application.execute("DROP ROLE IF EXISTS stranger")
    application.execute('CREATE ROLE "stranger"')
    try:
        application.execute("SET ROLE stranger")
        with pytest.raises(NotMigratedError, match="GRANT ops_maintenance TO"):
            carry_out(application, read().policies[0])
    finally:
        application.execute("RESET ROLE; DROP ROLE stranger")


def test_the_newest_migration_is_known() -> None:
    assert max(KNOWN_MIGRATIONS) > LAST


def _fill(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(APPLICATION)
        session.execute(SESSIONS, [59, 0, 100])


def _runs(connection: Connection) -> int:
    if scalar(connection, "SELECT to_regclass('ops.maintenance_runs')") is None:
        return 0
    return int(scalar(connection, "SELECT count(*) FROM ops.maintenance_runs"))
