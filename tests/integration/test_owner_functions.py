"""A login with one of our roles cannot write approvals, archive records, receipts or holds directly, hide
events, or have its own statements executed with the owner's rights."""

from collections.abc import Iterator
from contextlib import suppress
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql as compose
from psycopg.conninfo import make_conninfo

from ops_pipeline.postgres.connection import Connection, connect, scalar
from tests.integration.test_roles import ROLES

PLAN = """
INSERT INTO ops.plans (id, policy, definition, worker_clock, eligible, total, fraction, exact, reasons)
VALUES ('0123abcd', 'app/retention/sessions', '{}', now(), 1, 1, 1, true, '{}')
"""
ARCHIVE = """
INSERT INTO ops.archives
  (policy, run_id, table_schema, table_name, path, temporary_path, rows, bytes, sha256, schema)
VALUES ('app/retention/sessions', 1, 'public', 'sessions', 'a', 'b', 2, 2, repeat('0', 64), '[]')
"""
PREDICATE = '[{"column": "id", "operator": "=", "value": "1", "time": false}]'
HOLD = (
    f"SELECT ops.add_hold('public', 'audit_logs', 'audit_logs'::regclass, '{PREDICATE}', 'x', 'x', 'y', 'z', "
    "NULL)"
)
RECEIPT = (
    "INSERT INTO ops.audit_receipts (id, created_at, body_sha256) VALUES (gen_random_uuid(), now(), 'x')"
)
ARRIVED = "SELECT coalesce(sum(cardinality(ids)), 0) FROM ops.audit_arrivals"
STORE = "INSERT INTO audit_logs (event_type, created_at) VALUES ('hidden', now())"

CONTENT = (
    "SELECT * FROM ops.plans",
    "SELECT * FROM ops.archives",
    "SELECT * FROM ops.legal_holds",
    "SELECT * FROM ops.audit_receipts",
)
BY_HAND = {
    "approve": "UPDATE ops.plans SET approved_at = now(), approved_by = 'ada'",
    "approve as it is stored": PLAN.replace("(id,", "(approved_at, approved_by, id,").replace(
        "VALUES (", "VALUES (now(), 'ada', "
    ),
    "use an approval again": "UPDATE ops.plans SET used_at = NULL",
    "raise what was approved": "UPDATE ops.plans SET eligible = 1000000",
    "delete a plan": "DELETE FROM ops.plans",
    "record a file": ARCHIVE,
    "rewrite a file's hash": "UPDATE ops.archives SET sha256 = repeat('1', 64), verified_ok = true",
    "forget a file": "DELETE FROM ops.archives",
    "forget all files": "TRUNCATE ops.archives",
    "take back a restore": "UPDATE ops.archives SET restored_into = NULL, restored_at = NULL",
    "hold": "INSERT INTO ops.legal_holds (table_schema, table_name, predicate, predicate_text, reason, owner,"
    " created_by) VALUES ('public', 'sessions', '[]', 'x', 'x', 'x', 'ada')",
    "release": "UPDATE ops.legal_holds SET released_at = now(), released_by = 'ada'",
    "end a hold": "UPDATE ops.legal_holds SET ends_at = now()",
    "forget a hold": "DELETE FROM ops.legal_holds",
    "lift all holds": "DROP VIEW ops.holds_now",
    "pause": "INSERT INTO ops.maintenance_pauses (reason, paused_by) VALUES ('x', 'ada')",
    "resume": "UPDATE ops.maintenance_pauses SET resumed_at = now(), resumed_by = 'ada'",
    "forget a pause": "DELETE FROM ops.maintenance_pauses",
    "claim": RECEIPT,
    "move a receipt": "UPDATE ops.audit_receipts SET created_at = now() - interval '1 year'",
    "poison a receipt": "UPDATE ops.audit_receipts SET body_sha256 = 'y'",
    "forget receipts": "DELETE FROM ops.audit_receipts",
    "send a table to its drop": "INSERT INTO ops.detached_partitions (partition, schema, name, parent,"
    " bounds, upper) VALUES (1, 'public', 'users', 2, 'DEFAULT; DROP TABLE users', now())",
    "forget history": "DELETE FROM ops.maintenance_runs",
    "forget arrivals": "DELETE FROM ops.audit_arrivals",
    "replace a function": "CREATE OR REPLACE FUNCTION ops.approve_plan(plan text, by_person text) "
    "RETURNS SETOF ops.plans LANGUAGE sql AS 'SELECT * FROM ops.plans'",
    "borrow the arrivals' function": "CREATE TEMP TABLE mine (id uuid, created_at timestamptz);"
    "CREATE TRIGGER t AFTER INSERT ON mine REFERENCING NEW TABLE AS arrived FOR EACH STATEMENT "
    "EXECUTE FUNCTION ops.record_arrivals()",
}
CALLS = {
    "SELECT ops.approve_plan('0123abcd', 'ada')": {"ops_maintenance"},
    "SELECT ops.use_plan('0123abcd', 1)": {"ops_maintenance"},
    HOLD: {"ops_maintenance"},
    f"SELECT ops.bind_hold(1, 'a', 'b', 1::oid, '{PREDICATE}', 'x')": {"ops_maintenance"},
    "SELECT ops.release_hold(1, 'ada')": {"ops_maintenance"},
    "SELECT ops.pause('x', 'ada', NULL)": {"ops_maintenance"},
    "SELECT ops.resume('ada')": {"ops_maintenance"},
    "SELECT ops.record_archives('[]')": {"ops_maintenance"},
    "SELECT ops.mark_archives('{1}', true)": {"ops_maintenance"},
    "SELECT ops.create_staging('restoring_000000000000', '{a}', '{text}')": {"ops_maintenance"},
    "SELECT ops.drop_staging('restoring_000000000000')": {"ops_maintenance"},
    "SELECT ops.record_detaching(1)": {"ops_maintenance"},
    "SELECT ops.keep_holds()": {"ops_maintenance"},
    "SELECT ops.lock_holds()": {"ops_maintenance"},
    "SELECT ops.claim_receipts('{}')": {"ops_maintenance", "ops_writer"},
    "SELECT ops.purge_receipts(1)": {"ops_writer"},
    "SELECT ops.release_claim(gen_random_uuid(), '', now())": {"ops_writer"},
}
# The owner's function would unknowingly call a function of the login, the cast of a type of its own.
ESCALATION = """
CREATE TYPE pg_temp.mine AS ENUM ('a');
CREATE FUNCTION pg_temp.become(pg_temp.mine) RETURNS text LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'ALTER ROLE {login} CREATEROLE'; RETURN 'a'; END $$;
CREATE CAST (pg_temp.mine AS text) WITH FUNCTION pg_temp.become(pg_temp.mine);
CREATE FUNCTION pg_temp.become_all(pg_temp.mine[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'ALTER ROLE {login} CREATEROLE'; RETURN 'a'; END $$;
CREATE CAST (pg_temp.mine[] AS text) WITH FUNCTION pg_temp.become_all(pg_temp.mine[]);
CREATE TEMP TABLE parents (id pg_temp.mine);
INSERT INTO parents VALUES ('a'), ('a');
CREATE TRIGGER each AFTER UPDATE ON parents FOR EACH ROW
  EXECUTE FUNCTION ops.record_deleted_parents('p', 'id');
CREATE TRIGGER all_of_them AFTER DELETE ON parents REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT
  EXECUTE FUNCTION ops.record_deleted_parents('p', 'id');
UPDATE parents SET id = 'a';
DELETE FROM parents;
"""


@pytest.fixture
def login(connection: Connection, url: str, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A login that is a member of one of the roles and owns nothing."""
    name = f"login_{uuid4().hex[:8]}"
    role = compose.SQL("CREATE ROLE {} LOGIN PASSWORD 'x' IN ROLE {}")
    connection.execute(role.format(compose.Identifier(name), compose.Identifier(request.param)))
    try:
        with connect(make_conninfo(url, user=name, password="x"), "test") as session:
            yield session
    finally:
        for statement in ("DROP OWNED BY {} CASCADE", "DROP ROLE {}"):
            connection.execute(compose.SQL(statement).format(compose.Identifier(name)))


@pytest.fixture
def rows(connection: Connection) -> Connection:
    """One row of each kind that only our functions may write."""
    for statement in (PLAN, ARCHIVE, HOLD, RECEIPT):
        connection.execute(statement)
    return connection


@pytest.mark.parametrize("login", ROLES, indirect=True)
def test_no_login_writes_these_tables_directly(rows: Connection, login: Connection) -> None:
    before = [rows.execute(statement).fetchall() for statement in CONTENT]

    allowed = []
    for what, statement in BY_HAND.items():
        with suppress(psycopg.errors.InsufficientPrivilege):
            login.execute(statement)
            allowed.append(what)

    assert allowed == []

    assert [rows.execute(statement).fetchall() for statement in CONTENT] == before


@pytest.mark.parametrize("login", ROLES, indirect=True)
def test_each_function_may_be_executed_by_its_role_only(
    rows: Connection, login: Connection, request: pytest.FixtureRequest
) -> None:
    role = request.node.callspec.params["login"]

    for statement, allowed in CALLS.items():
        if role in allowed:
            login.execute(statement)
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                login.execute(statement)


@pytest.mark.parametrize("login", ["ops_maintenance"], indirect=True)
def test_the_login_that_approved_or_added_a_hold_is_recorded(rows: Connection, login: Connection) -> None:
    login.execute("SET application_name = 'ada'; SELECT ops.approve_plan('0123abcd', 'ada')")
    login.execute(f"SELECT ops.bind_hold(1, 'public', 'x', 1::oid, '{PREDICATE}', 'x')")
    login.execute("SELECT ops.release_hold(1, 'ada')")

    user = login.info.user
    assert rows.execute("SELECT approved_by, approved_login FROM ops.plans").fetchall() == [("ada", user)]
    assert rows.execute(
        "SELECT created_login, bound_login, released_by, released_login FROM ops.legal_holds"
    ).fetchall() == [("postgres", user, "ada", user)]


@pytest.mark.parametrize("login", ["ops_maintenance"], indirect=True)
def test_the_recorded_approver_of_a_plan_cannot_be_changed(rows: Connection, login: Connection) -> None:
    rows.execute("SELECT ops.approve_plan('0123abcd', 'ada')")

    again = login.execute("SELECT ops.approve_plan('0123abcd', 'mallory')").fetchall()

    assert again == []
    assert scalar(rows, "SELECT approved_by FROM ops.plans") == "ada"


@pytest.mark.parametrize("login", ["ops_maintenance"], indirect=True)
def test_the_record_of_an_archived_file_cannot_be_changed(rows: Connection, login: Connection) -> None:
    recorded = "SELECT policy, path, rows, bytes, sha256, schema, created_at FROM ops.archives"
    before = rows.execute(recorded).fetchall()

    login.execute("SELECT ops.mark_archives('{1}', true, true, 'public.x')")
    login.execute("SELECT ops.mark_archives('{1}')")

    assert rows.execute(recorded).fetchall() == before
    assert rows.execute(
        "SELECT stored_at IS NULL, verified_ok, restored_into FROM ops.archives"
    ).fetchall() == [(False, True, "public.x")]


@pytest.mark.parametrize("login", ["ops_writer", "ops_maintenance"], indirect=True)
def test_no_setting_hides_events_from_the_live_tail(connection: Connection, login: Connection) -> None:
    before = scalar(connection, ARRIVED)

    login.execute(f"SET ops.restoring = 'on'; {STORE}")

    assert scalar(connection, ARRIVED) == before + 1


@pytest.mark.parametrize("login", ["ops_maintenance"], indirect=True)
@pytest.mark.parametrize(("stored", "hidden"), [(2, True), (3, False)])
def test_no_more_events_bypass_the_live_tail_than_a_file_has(
    rows: Connection, login: Connection, stored: int, hidden: bool
) -> None:
    before = scalar(rows, ARRIVED)

    with login.transaction():
        for _ in range(stored):
            login.execute(STORE)
        login.execute("SELECT ops.mark_archives('{1}', restored => 'public.audit_logs')")

    assert scalar(rows, ARRIVED) == before + (0 if hidden else stored)
    assert scalar(rows, "SELECT restored_into FROM ops.archives") == "public.audit_logs"


@pytest.mark.parametrize("login", ["ops_writer"], indirect=True)
def test_a_receipt_is_written_once_and_kept(rows: Connection, login: Connection) -> None:
    ((own, created_at, body),) = rows.execute(
        "SELECT id, created_at, body_sha256 FROM ops.audit_receipts"
    ).fetchall()

    claimed = login.execute("SELECT * FROM ops.claim_receipts(ARRAY[%s::uuid], 'other')", [own]).fetchall()
    login.execute("SELECT ops.purge_receipts(1000)")

    assert claimed == [(own, created_at, body)]
    assert scalar(rows, "SELECT count(*) FROM ops.audit_receipts") == 1


@pytest.mark.parametrize("login", ["ops_maintenance"], indirect=True)
def test_no_function_of_a_login_runs_with_the_owners_rights(
    connection: Connection, login: Connection
) -> None:
    login.execute(ESCALATION.replace("{login}", login.info.user))

    assert scalar(connection, "SELECT count(*) FROM ops.missing_parents WHERE policy = 'p'") == 3
    assert (
        scalar(connection, "SELECT rolcreaterole FROM pg_roles WHERE rolname = %s", [login.info.user])
        is False
    )


@pytest.mark.parametrize("login", ["ops_maintenance"], indirect=True)
@pytest.mark.parametrize(
    "arguments",
    [
        "'archives', '{a}', '{text}'",
        "'restoring_000000000000', '{a}', '{text DEFAULT pg_read_file(1)}'",
        "'restoring_000000000000', '{a}', '{public.mine}'",
    ],
)
def test_only_staging_tables_can_be_created(login: Connection, arguments: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        login.execute(f"SELECT ops.create_staging({arguments})")
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        login.execute("SELECT ops.drop_staging('archives')")


def test_every_function_of_the_owner_sets_its_search_path(connection: Connection) -> None:
    open_ones = connection.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'ops'::regnamespace AND prosecdef AND ("
        "  NOT coalesce(proconfig && ARRAY['search_path=pg_catalog, pg_temp', 'search_path=\"\"'], false)"
        "  OR has_function_privilege('public', oid, 'EXECUTE'))"
    ).fetchall()

    assert open_ones == []
