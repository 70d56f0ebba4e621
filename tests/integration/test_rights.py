"""The rights of a login that owns nothing: each missing one is named with its GRANT, and SELECT and DELETE
on a table are enough to maintain it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql as compose
from psycopg.conninfo import make_conninfo

from ops_pipeline.holds import holds
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.plan import DeletePlan, Unplanned
from ops_pipeline.maintenance.result import RefusedError
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.ready import NotMigratedError
from ops_pipeline.postgres.rights import MissingRightError
from ops_pipeline.settings import Settings
from tests.integration.conftest import POLICIES, Done

RETENTION = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention: [{table: sessions, column: created_at, keep: 30 days}]
"""
ARCHIVING = RETENTION.replace("30 days", "30 days, archive: true, guard: {max_rows: 10}")
CASCADING = RETENTION.replace("30 days", "30 days, archive: true, cascade: archive")
CHILD = """
CREATE TABLE notes (id int, session_id uuid REFERENCES sessions ON DELETE CASCADE);
CREATE INDEX ON notes (session_id);
"""
PARTITIONED = """
CREATE TABLE visits (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE visits_old PARTITION OF visits FOR VALUES FROM ('2020-01-01') TO ('2020-01-02');
GRANT SELECT, DELETE ON visits, visits_old TO {login};
"""
# By missing right: the statement that revokes it, the policies, and the rights named in the GRANT.
MISSING = {
    "SELECT": ("REVOKE SELECT ON sessions FROM {login}", RETENTION, "SELECT ON public.sessions"),
    "DELETE": ("REVOKE DELETE ON sessions FROM {login}", RETENTION, "DELETE ON public.sessions"),
    "the schema": ("CREATE SCHEMA shop; ALTER TABLE sessions SET SCHEMA shop",
                   RETENTION.replace("sessions", "shop.sessions"), "USAGE ON SCHEMA shop"),
    "a child": (CHILD, RETENTION, "SELECT ON public.notes"),
    "a child that is archived":
        (CHILD + "GRANT SELECT ON notes TO {login}; GRANT UPDATE ON sessions TO {login}",
         CASCADING, "DELETE ON public.notes"),
    "locks for a child":
        (CHILD + "GRANT SELECT, DELETE ON notes TO {login}", CASCADING, "UPDATE ON public.sessions"),
    "the parent": ("REVOKE ALL ON sessions FROM {login}; GRANT SELECT, DELETE ON memories TO {login}",
                   POLICIES.replace("retention: [{table: sessions, column: created_at, keep: 30 days}]", ""),
                   "SELECT ON public.sessions"),
}  # fmt: skip


@pytest.fixture
def login(application: Connection, url: str) -> Iterator[Connection]:
    """A login with ops_maintenance, and SELECT and DELETE on sessions."""
    name = f"nightly_{uuid4().hex[:8]}"
    application.execute(
        f"CREATE ROLE {name} LOGIN PASSWORD 'x' IN ROLE ops_maintenance; "
        f"GRANT SELECT, DELETE ON sessions TO {name}"
    )
    try:
        with connect(make_conninfo(url, user=name, password="x"), "test") as session:
            yield session
    finally:
        for statement in ("DROP OWNED BY {}", "DROP ROLE {}"):
            application.execute(compose.SQL(statement).format(compose.Identifier(name)))


@pytest.fixture
def settings(login: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("OPS_DATABASE_URL", _url(login))
    monkeypatch.setenv("OPS_ARCHIVE_URL", str(tmp_path / "archive"))
    (tmp_path / "archive").mkdir()
    return Settings()


def test_select_and_delete_are_enough_to_maintain_a_table(
    application: Connection,
    login: Connection,
    settings: Settings,
    read: Callable[..., Database],
    opsctl: Callable[..., Done],
    tmp_path: Path,
) -> None:
    policy = read(ARCHIVING).policies[0]
    (planned,) = plan(login, [policy], archive_url=settings.archive_url)
    assert isinstance(planned, DeletePlan)
    assert (planned.rows.eligible, planned.refusals) == (3000, ())

    stopped = carry_out(login, policy, settings=settings)
    assert stopped.outcome == "needs_approval"
    approvals.approve(login, stopped.details["plan"], "ada")
    oldest = scalar(login, "SELECT id FROM sessions ORDER BY created_at LIMIT 1")
    hold = holds.add(login, "sessions", f"id = {oldest}", reason="x", owner="y", by="ada")
    done = carry_out(login, policy, settings=settings)
    assert (done.outcome, done.removed, done.archived) == ("done", 2999, 2999)
    holds.release(login, hold.id, by="ada")

    for command in ("plan", "approve", "hold list", "archive list", "archive verify"):
        listed = opsctl(*command.split())
        assert listed.code == 0, (command, listed.err)
    refused = opsctl("archive", "restore", "--table", "sessions")
    assert refused.code == 1
    grant = _grant(refused.err)
    assert grant == f"GRANT INSERT ON public.sessions TO {login.info.user}"
    application.execute(grant)
    restored = opsctl("archive", "restore", "--table", "sessions")
    assert restored.code == 0, restored.err
    assert scalar(login, "SELECT count(*) FROM sessions") == 6000
    audited = scalar(application, "SELECT count(*) FROM audit_logs WHERE event_type = 'maintenance'")
    assert audited >= 5


@pytest.mark.parametrize("missing", MISSING)
def test_a_missing_right_is_named_before_the_run_and_its_grant_is_enough(
    application: Connection,
    login: Connection,
    settings: Settings,
    read: Callable[..., Database],
    missing: str,
) -> None:
    change, policies, right = MISSING[missing]
    application.execute(change.replace("{login}", login.info.user))
    policy = read(policies).policies[0]

    (planned,) = plan(login, [policy], archive_url=settings.archive_url)
    with pytest.raises(RefusedError) as refused:
        carry_out(login, policy, settings=settings)

    assert isinstance(planned, Unplanned)
    grant = _grant(planned.problem)
    assert grant == f"GRANT {right} TO {login.info.user}"
    assert grant in str(refused.value)
    application.execute(grant)
    while isinstance((planned := next(plan(login, [policy], archive_url=settings.archive_url))), Unplanned):
        application.execute(_grant(planned.problem))
    assert carry_out(login, policy, settings=settings).outcome == "done"


def test_a_missing_ownership_is_named_with_the_statement_and_needs_no_superuser(
    application: Connection, login: Connection, settings: Settings, read: Callable[..., Database]
) -> None:
    user = login.info.user
    application.execute(PARTITIONED.replace("{login}", user))
    policy = read(RETENTION.replace("sessions, column: created_at", "visits, column: at")).policies[0]
    way = f"ALTER TABLE public.visits OWNER TO {user}"

    (planned,) = plan(login, [policy], archive_url=settings.archive_url)

    assert isinstance(planned, Unplanned)
    assert planned.problem.endswith(f"only the owner of public.visits may drop its partitions: {way}")
    application.execute(way.encode())
    with pytest.raises(MissingRightError, match=rf"ALTER TABLE public.visits_old OWNER TO {user}"):
        carry_out(login, policy, settings=settings)
    application.execute(f"ALTER TABLE public.visits_old OWNER TO {user}".encode())
    assert carry_out(login, policy, settings=settings).outcome == "done"
    assert scalar(application, "SELECT to_regclass('visits_old')") is None


def test_a_login_that_is_no_member_is_refused_with_the_role_it_needs(
    application: Connection, login: Connection, read: Callable[..., Database], opsctl: Callable[..., Done],
    settings: Settings,
) -> None:  # fmt: skip
    application.execute(f"REVOKE ops_maintenance FROM {login.info.user}")
    policy = read(RETENTION).policies[0]
    grant = f"GRANT ops_maintenance TO {login.info.user}"

    (planned,) = plan(login, [policy])
    with pytest.raises(NotMigratedError) as refused:
        carry_out(login, policy)
    listed = opsctl("hold", "list")

    assert isinstance(planned, Unplanned)
    assert _grant(planned.problem) == _grant(str(refused.value)) == _grant(listed.err) == grant
    assert "Traceback" not in listed.err


def test_a_login_that_may_not_migrate_is_refused_with_the_right_it_needs(
    login: Connection, new_database: Callable[..., str], settings: Settings, opsctl: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    fresh = make_conninfo(_url(login), dbname=new_database().rpartition("/")[2])
    monkeypatch.setenv("OPS_DATABASE_URL", _as_url(fresh))

    done = opsctl("migrate")

    assert done.code == 1
    assert "GRANT CREATE ON DATABASE test_" in done.err


def test_a_right_that_a_trigger_lacks_is_named_in_the_history(
    application: Connection, login: Connection, read: Callable[..., Database]
) -> None:
    application.execute(
        "CREATE TABLE log (id uuid);"
        "CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO log VALUES (OLD.id); RETURN OLD; END';"
        "CREATE TRIGGER log BEFORE DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION log()"
    )

    with pytest.raises(MissingRightError, match=r"permission denied for table log\. To allow it: GRANT"):
        carry_out(login, read(RETENTION).policies[0])

    assert "GRANT" in scalar(application, "SELECT stopped_reason FROM ops.maintenance_runs")


def test_row_security_is_not_reported_as_a_missing_right(
    application: Connection, login: Connection, read: Callable[..., Database]
) -> None:
    application.execute("ALTER TABLE sessions ENABLE ROW LEVEL SECURITY")

    with pytest.raises(RefusedError, match="row security of"):
        carry_out(login, read(RETENTION).policies[0])


def test_without_the_right_for_skip_locked_a_locked_row_is_waited_for(
    application: Connection, login: Connection, url: str, read: Callable[..., Database]
) -> None:
    with psycopg.connect(url) as other:
        other.execute("SELECT FROM sessions ORDER BY created_at LIMIT 1 FOR UPDATE")
        policy = replace(read(RETENTION).policies[0])
        stopped = carry_out(login, policy)

    assert stopped.outcome == "stopped"
    assert scalar(application, "SELECT count(*) FROM sessions") > 3000
    assert carry_out(login, policy).outcome == "done"
    assert scalar(application, "SELECT count(*) FROM sessions") == 3000


def _grant(text: str) -> str:
    found = re.search(r"GRANT .+? TO \w+", text)
    assert found, text
    return found[0]


def _url(connection: Connection) -> str:
    return _as_url(make_conninfo(**connection.info.get_parameters() | {"password": "x"}))


def _as_url(conninfo: str) -> str:
    parts = psycopg.conninfo.conninfo_to_dict(conninfo)
    return f"postgresql://{parts['user']}:x@127.0.0.1:{parts['port']}/{parts['dbname']}"


def test_vacuum_skips_tables_of_another_owner_until_maintain_is_granted(
    application: Connection, login: Connection, read: Callable[..., Database]
) -> None:
    if login.info.server_version < 170000:
        pytest.skip("PostgreSQL has the privilege MAINTAIN since version 17")
    policy = read(
        "version: 1\ndatabases: {app: {url: x, vacuum: {tables: [sessions], mode: always}}}"
    ).policies[0]

    skipped = carry_out(login, policy)
    application.execute(f"GRANT MAINTAIN ON sessions TO {login.info.user}")
    done = carry_out(login, policy)

    assert (skipped.outcome, done.outcome) == ("stopped", "done")
    assert "skipped public.sessions: permission denied" in skipped.stopped_reason
