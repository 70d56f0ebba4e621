"""A policy on rows that row security may hide is refused, with what would help."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import conninfo

from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.arrow_session import ArrowSession
from ops_pipeline.archive.restore import restore
from ops_pipeline.archive.target import RestoreRefusedError
from ops_pipeline.audit import trail
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.plan import Unplanned
from ops_pipeline.maintenance.result import RefusedError
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.migrations import migrate
from ops_pipeline.storage import location
from tests.integration.archive.removal import remove

Read = Callable[..., Database]

HIDING = """
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY three_quarters ON {table} USING (left(id::text, 1) > '3')
"""
POLICIES = """
version: 1
databases:
  app:
    url: x
    guard: {max_fraction: 1}
    retention: [{table: sessions, column: created_at, keep: 30 days}]
    orphans: [{table: memories, column: session_id, references: sessions.id, grace_period: 0 seconds}]
"""


@pytest.fixture
def keeper(application: Connection, url: str) -> Iterator[str]:
    """The URL of an ordinary role with every right that maintenance needs; it owns no table."""
    application.execute(
        """
        INSERT INTO memories (session_id) SELECT id FROM sessions;
        DROP ROLE IF EXISTS keeper;
        CREATE ROLE keeper LOGIN PASSWORD 'keeper' IN ROLE ops_maintenance;
        GRANT ALL ON sessions, memories TO keeper;
        GRANT ALL ON SCHEMA public, ops TO keeper;
        GRANT ALL ON ALL TABLES IN SCHEMA ops TO keeper;
        GRANT ALL ON ALL SEQUENCES IN SCHEMA ops TO keeper;
        GRANT INSERT, SELECT ON audit_logs TO keeper;
        """
    )
    yield conninfo.make_conninfo(url, user="keeper", password="keeper")
    application.execute("DROP OWNED BY keeper CASCADE; DROP ROLE keeper")


def _refusals(url: str, of: Database) -> tuple[dict[str, str], dict[str, str]]:
    """The refusals of plan and run, by policy."""
    with connect(url, "test") as connection:
        planned = {
            each.policy: each.problem for each in plan(connection, of.policies) if isinstance(each, Unplanned)
        }
        run = {}
        for policy in of.policies:
            try:
                carry_out(connection, policy)
            except RefusedError as error:
                run[policy.name] = str(error)
    return planned, run


@pytest.mark.parametrize("hidden", ["sessions", "memories"])
def test_hidden_rows_of_a_table_refuse_its_policies_and_nothing_is_deleted(
    application: Connection, keeper: str, read: Read, hidden: str
) -> None:
    application.execute(HIDING.format(table=hidden))
    of = read(POLICIES)
    counts = "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM memories)"
    before = application.execute(counts).fetchone()

    planned, run = _refusals(keeper, of)

    names = {"app/retention/sessions", "app/orphans/memories.session_id"}
    refused = names if hidden == "sessions" else {"app/orphans/memories.session_id"}
    assert planned.keys() == run.keys() == refused
    for message in (*planned.values(), *run.values()):
        assert f"row security of public.{hidden}" in message
        assert "three_quarters" in message
        assert "ALTER ROLE keeper BYPASSRLS" in message
        assert "nothing was deleted" in message
    if hidden == "sessions":
        assert application.execute(counts).fetchone() == before
    else:  # the policy of the other table ran
        expired = "SELECT count(*) FROM sessions WHERE created_at < now() - '30 days'::interval"
        assert scalar(application, expired) == 0
        assert scalar(application, "SELECT count(*) FROM memories") == 6000


def test_hidden_rows_that_refer_to_expired_ones_refuse_the_retention(
    application: Connection, keeper: str, read: Read
) -> None:
    application.execute(
        "ALTER TABLE memories ADD FOREIGN KEY (session_id) REFERENCES sessions ON DELETE CASCADE;"
        "CREATE INDEX ON memories (session_id)"
    )
    application.execute(HIDING.format(table="memories"))

    planned, run = _refusals(keeper, read(POLICIES.partition("    orphans")[0]))

    assert "row security of public.memories" in planned["app/retention/sessions"]
    assert "row security of public.memories" in run["app/retention/sessions"]
    assert scalar(application, "SELECT count(*) FROM sessions") == 6000


def test_an_owner_under_forced_row_security_is_refused_with_the_remedy(
    application: Connection, keeper: str, read: Read
) -> None:
    application.execute(HIDING.format(table="sessions"))
    application.execute("ALTER TABLE sessions OWNER TO keeper; ALTER TABLE sessions FORCE ROW LEVEL SECURITY")
    of = read(POLICIES.partition("    orphans")[0])

    _, run = _refusals(keeper, of)

    assert "ALTER TABLE public.sessions NO FORCE ROW LEVEL SECURITY" in run["app/retention/sessions"]
    application.execute("ALTER TABLE public.sessions NO FORCE ROW LEVEL SECURITY")
    assert _refusals(keeper, of) == ({}, {})


def test_a_role_that_bypasses_row_security_is_not_refused(
    application: Connection, keeper: str, read: Read
) -> None:
    application.execute(HIDING.format(table="sessions"))
    application.execute("ALTER ROLE keeper BYPASSRLS")

    assert _refusals(keeper, read(POLICIES)) == ({}, {})


def test_every_maintenance_session_raises_where_row_security_hides_rows(
    application: Connection, keeper: str
) -> None:
    application.execute(HIDING.format(table="sessions"))
    raises = pytest.raises(psycopg.errors.InsufficientPrivilege, match='policy for table "sessions"')

    with connect(keeper, "test") as connection, raises:
        connection.execute("DELETE FROM sessions")
    with ArrowSession(keeper, "app/retention/sessions", "test") as worker, raises:
        worker.execute("DELETE FROM sessions")


def test_rows_are_not_restored_into_a_table_whose_rows_are_hidden(
    application: Connection, keeper: str, url: str, tmp_path: object
) -> None:
    remove(url, application, str(tmp_path), table="sessions", day_column="created_at")
    application.execute(HIDING.format(table="sessions"))

    with connect(keeper, "test") as connection:
        archive = Archive(location.storage(str(tmp_path)), connection)
        with pytest.raises(RestoreRefusedError, match=r"row security of public\.sessions"):
            restore(connection, archive, "sessions", first=None, last=None, by="ada")


def test_row_security_on_users_does_not_prevent_audit_events_of_maintenance(
    new_database: Callable[[], str], server: embedded.Server
) -> None:
    url = new_database()
    with connect(url, "test") as owner:
        owner.execute("CREATE TABLE users (id uuid PRIMARY KEY)")
        migrate(url)
        owner.execute(
            "DROP ROLE IF EXISTS modest; CREATE ROLE modest; GRANT ALL ON users TO modest;"
            "ALTER FUNCTION ops.known_users(uuid[]) OWNER TO modest;"
            "ALTER TABLE users ENABLE ROW LEVEL SECURITY"
        )
        user = "INSERT INTO users VALUES (gen_random_uuid()) RETURNING id"
        try:
            trail.record(owner, "rows.removed", {})
            assert scalar(owner, "SELECT count(*) FROM audit_logs") == 1
            # Functions that the policy calls would run as the owner of our functions.
            owner.execute(
                "CREATE FUNCTION stop() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE ''called''; END';"
                "CREATE POLICY all_of_them ON users USING (stop())"
            )
            known = owner.execute("SELECT ops.known_users(ARRAY[%s::uuid])", [scalar(owner, user)]).fetchall()
            assert known == []
        finally:
            owner.execute("DROP OWNED BY modest CASCADE; DROP ROLE modest")
