"""`opsctl adopt`: a table becomes partitioned with the same rows, rights and names, or nothing changes."""

# ruff: noqa: S608 - statements of the test itself

from collections.abc import Callable
from datetime import UTC
from typing import Any

import psycopg
import pytest

from ops_pipeline.partitions.adopt import adoption
from ops_pipeline.partitions.adopt.adopt import Adopted, adopt_table
from ops_pipeline.partitions.adopt.adoption import Adoption, AdoptionError
from ops_pipeline.partitions.adopt.copy import CopySizes
from ops_pipeline.partitions.adopt.finish import abort_adoption, finish_adoption
from ops_pipeline.partitions.adopt.obstacles import AdoptionRefusedError, table_to_adopt
from ops_pipeline.partitions.partition import existing
from ops_pipeline.partitions.premake import PREMAKE_DAYS
from ops_pipeline.postgres import locks
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.locks import LOCK_TIMEOUT, LockedError
from ops_pipeline.postgres.relation import TableName, audit_logs
from ops_pipeline.throttle.batch_size import Sizes
from tests.named import named

ROWS = "SELECT * FROM audit_logs WHERE event_type <> 'maintenance' ORDER BY id"
RELATIONS = """
SELECT n.nspname, c.relname, c.relkind::text, c.relacl::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('public', 'ops')
UNION ALL SELECT 'trigger', tgname, tgtype::text, tgrelid::regclass::text FROM pg_trigger
UNION ALL SELECT 'function', proname, '', '' FROM pg_proc WHERE pronamespace = 'ops'::regnamespace
ORDER BY 1, 2, 3, 4
"""
Mission = Connection


def run(connection: Connection, **more: Any) -> Adopted:
    return adopt_table(
        connection, table_to_adopt(connection, audit_logs()), column="created_at", time_zone="UTC", **more
    )


def when(words: str, act: Callable[[], object]) -> Callable[[str], None]:
    """A progress callback that acts once, on the first report with these words."""
    pending = [act]

    def report(said: str) -> None:
        if words in said and pending:
            pending.pop()()

    return report


def test_every_row_is_there_with_its_time_read_in_the_zone(mission: Mission) -> None:
    before = mission.execute(ROWS).fetchall()

    done = run(mission)

    after = mission.execute(ROWS).fetchall()
    assert after == [(*row[:10], row[10].replace(tzinfo=UTC), *row[11:]) for row in before]
    assert done.rows == 3001  # the event about the start is one of them
    assert scalar(mission, "SELECT count(*) FROM audit_logs_default") == 0
    assert scalar(mission, "SELECT count(*) FROM audit_logs_before_adoption") == 3001
    ahead = {each.name for each in existing(mission, named(mission, "audit_logs"))}
    assert len(ahead) > 4 + PREMAKE_DAYS


def test_names_keys_and_indexes_are_unchanged_by_an_adoption(mission: Mission) -> None:
    run(mission)

    indexes = mission.execute(
        "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'audit_logs'::regclass"
    ).fetchall()
    assert sorted(text.replace("ON ONLY public.", "").split("INDEX ")[1] for (text,) in indexes) == [
        "audit_logs_pkey audit_logs USING btree (created_at, id)",
        "idx_audit_logs_created_at audit_logs USING btree (created_at DESC)",
        "idx_audit_logs_event_type audit_logs USING btree (event_type)",
        "idx_audit_logs_id audit_logs USING btree (id)",
        "idx_audit_logs_resource audit_logs USING btree (resource_type, resource_id)",
        "idx_audit_logs_user_id audit_logs USING btree (user_id)",
    ]
    mission.execute("DELETE FROM users WHERE name = 'user 1'")
    assert scalar(mission, "SELECT count(*) FROM audit_logs WHERE user_id IS NULL") > 50
    mission.execute("INSERT INTO audit_logs (event_type) VALUES ('new')")
    assert scalar(mission, "SELECT now() - created_at < '1 min' FROM audit_logs WHERE event_type = 'new'")


def test_start_swap_and_finish_are_audit_events(mission: Mission) -> None:
    run(mission)
    finish_adoption(mission, audit_logs())

    events = mission.execute(
        "SELECT action, details->>'table', created_by FROM audit_logs WHERE event_type = 'maintenance'"
        " ORDER BY created_at"
    ).fetchall()
    assert events == [
        (f"table.adoption_{what}", "public.audit_logs", "system")
        for what in ("started", "swapped", "finished")
    ]
    assert scalar(mission, "SELECT to_regclass('audit_logs_before_adoption')") is None


def test_an_aborted_adoption_leaves_no_object_behind(mission: Mission) -> None:
    before = mission.execute(RELATIONS).fetchall()
    rows = mission.execute(ROWS).fetchall()
    with pytest.raises(KeyboardInterrupt):
        run(mission, report=when("rows copied", _interrupt))
    assert mission.execute(RELATIONS).fetchall() != before

    assert abort_adoption(mission, audit_logs()).state == "aborted"

    assert mission.execute(RELATIONS).fetchall() == before
    assert mission.execute(ROWS).fetchall() == rows
    with pytest.raises(AdoptionError, match="no open adoption"):
        abort_adoption(mission, audit_logs())
    run(mission)


def test_an_incomplete_adoption_cannot_be_finished_and_a_complete_one_cannot_be_aborted(
    mission: Mission,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(mission, report=when("copying", _interrupt))
    with pytest.raises(AdoptionError, match="not copied completely"):
        finish_adoption(mission, audit_logs())

    run(mission)
    with pytest.raises(AdoptionError, match="is adopted already"):
        abort_adoption(mission, audit_logs())
    assert run(mission).kept == "public.audit_logs_before_adoption"
    finish_adoption(mission, audit_logs())
    with pytest.raises(AdoptionRefusedError, match="already partitioned"):
        run(mission)


@pytest.mark.parametrize("state", ["preparing", "copying"])
def test_every_change_made_during_the_copy_is_applied(mission: Mission, plain_url: str, state: str) -> None:
    """Rows already copied and not yet copied, changed keys and times, and a session with an old snapshot."""
    with psycopg.connect(plain_url) as old_snapshot:
        old_snapshot.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        old_snapshot.execute("SELECT count(*) FROM users")

        def change() -> None:
            mission.execute("DELETE FROM audit_logs WHERE (details->>'n')::int % 7 = 0")
            mission.execute("UPDATE audit_logs SET action = 'changed' WHERE (details->>'n')::int % 7 = 1")
            mission.execute(
                "UPDATE audit_logs SET created_at = created_at - interval '3 days'"
                " WHERE (details->>'n')::int % 7 = 2"
            )
            mission.execute("UPDATE audit_logs SET id = gen_random_uuid() WHERE (details->>'n')::int % 7 = 3")
            mission.execute("INSERT INTO audit_logs (event_type, created_at) VALUES ('late', '2001-01-01')")
            old_snapshot.execute(
                "UPDATE audit_logs SET created_at = created_at - interval '1 day'"
                " WHERE (details->>'n')::int % 7 = 4"
            )
            old_snapshot.execute("DELETE FROM audit_logs WHERE (details->>'n')::int % 7 = 5")
            old_snapshot.commit()
            mission.execute("DELETE FROM users WHERE name IN ('user 3', 'user 4')")

        moment = "preparing" if state == "preparing" else "rows copied"
        run(mission, report=when(moment, change), sizes=CopySizes(copied=Sizes(500, 500, 500)))

    _same_on_both_sides(mission)
    assert scalar(mission, "SELECT tableoid::regclass::text FROM audit_logs WHERE event_type = 'late'") == (
        "audit_logs_default"
    )


def test_a_truncate_during_the_copy_is_applied(mission: Mission) -> None:
    def truncate() -> None:
        mission.execute("TRUNCATE audit_logs")
        mission.execute("INSERT INTO audit_logs (event_type) VALUES ('after')")

    run(mission, report=when("rows copied", truncate))

    assert mission.execute(
        "SELECT event_type FROM audit_logs WHERE event_type <> 'maintenance'"
    ).fetchall() == [("after",)]


def test_rows_whose_time_becomes_null_stop_the_adoption_which_then_continues(mission: Mission) -> None:
    def unset() -> None:
        mission.execute("UPDATE audit_logs SET created_at = NULL WHERE (details->>'n')::int < 5")

    for said in ("rows copied", "all equal"):
        with pytest.raises(AdoptionError, match=r"4 rows .*still in use and complete"):
            run(mission, report=when(said, unset))
        assert scalar(mission, "SELECT count(*) FROM audit_logs") == 3001
        mission.execute("UPDATE audit_logs SET created_at = now() WHERE created_at IS NULL")

    run(mission)
    _same_on_both_sides(mission)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_logs SET action = 'x' WHERE (details->>'n')::int = 1500",
        "DELETE FROM audit_logs WHERE (details->>'n')::int = 1500",
        "INSERT INTO audit_logs (event_type) VALUES ('x')",
    ],
)
def test_a_change_that_bypassed_the_triggers_is_found_before_the_swap(mission: Mission, change: str) -> None:
    def past() -> None:
        mission.execute("ALTER TABLE audit_logs DISABLE TRIGGER ALL")
        mission.execute(change)
        mission.execute("ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER ops_adoption")

    with pytest.raises(AdoptionError, match=r"differs .*--abort"):
        run(mission, report=when("rows copied", past))

    assert scalar(mission, "SELECT relkind FROM pg_class WHERE oid = 'audit_logs'::regclass") == "r"


def test_the_session_that_locks_the_table_is_named_and_not_disturbed(
    mission: Mission, plain_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No session queues behind a swap that waits: it requests the lock with a timeout, or not at all."""
    monkeypatch.setattr(locks, "TRIES", 3)
    with (
        psycopg.connect(plain_url, application_name="report") as reader,
        connect(plain_url, "by") as bystander,
    ):

        def hold() -> None:
            reader.execute("SELECT count(*) FROM audit_logs")

        with pytest.raises(LockedError, match=r"report.*SELECT count.*Nothing was changed"):
            run(mission, report=when("all equal", hold))
        assert scalar(bystander, "SELECT count(*) FROM audit_logs") == 3001
        bystander.execute("INSERT INTO audit_logs (event_type) VALUES ('while it waits')")

    assert run(mission).rows == 3002


def test_the_swap_waits_for_no_lock_longer_than_its_timeout(
    mission: Mission, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, ...]] = []
    real = adoption.advance

    def watched(connection: Connection, *values: Any, **more: Any) -> Adoption:
        seen.append(
            (
                scalar(connection, "SELECT current_setting('lock_timeout')"),
                scalar(
                    connection,
                    "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
                    " AND mode = 'AccessExclusiveLock' AND relation = 'public.audit_logs'::regclass",
                ),
            )
        )
        return real(connection, *values, **more)

    monkeypatch.setattr("ops_pipeline.partitions.adopt.swap.advance", watched)
    run(mission)

    assert seen == [(LOCK_TIMEOUT, 1)]


OBSTACLES = {
    "has no primary key": "CREATE TABLE t (id int, created_at timestamptz)",
    "created_at is NULL in 3 rows": "{plain}; INSERT INTO t SELECT n, NULL FROM generate_series(1, 3) n",
    "foreign key c_t_id_fkey of public.c refers to it": "{plain}; CREATE TABLE c (t_id int REFERENCES t)",
    "already partitioned": "CREATE TABLE t (id int, created_at timestamptz) PARTITION BY RANGE (created_at)",
    "is a partition of p": "CREATE TABLE p (id int, created_at timestamptz) PARTITION BY RANGE (created_at);"
    "CREATE TABLE t PARTITION OF p DEFAULT",
    'table "t" does not exist': "CREATE VIEW t AS SELECT 1",
    "column created_at does not exist": "CREATE TABLE t (id int PRIMARY KEY, at timestamptz)",
    "created_at is text": "CREATE TABLE t (id int PRIMARY KEY, created_at text)",
    "constraint of index public.t_code_key": "{plain}; ALTER TABLE t ADD COLUMN code int UNIQUE",
    "trigger acts is of a kind": "{plain}; {trigger} REFERENCING NEW TABLE AS n FOR EACH ROW {f}",
    "rule r would not be copied": "{plain}; CREATE RULE r AS ON DELETE TO t DO ALSO SELECT 1",
    "v would continue to read the old table": "{plain}; CREATE VIEW v AS SELECT id FROM t",
    "row security": "{plain}; ALTER TABLE t ENABLE ROW LEVEL SECURITY",
    "publication p contains it": "{plain}; CREATE PUBLICATION p FOR TABLE t",
    "inherits": "{plain}; CREATE TABLE heir () INHERITS (t)",
    "it is unlogged; ALTER TABLE public.t SET LOGGED": "{plain}; ALTER TABLE t SET UNLOGGED",
    "replica identity": "{plain}; ALTER TABLE t REPLICA IDENTITY FULL",
    "t_check is not validated": "{plain}; ALTER TABLE t ADD CONSTRAINT t_check CHECK (id > 0) NOT VALID",
}
PARTS = {
    "plain": "CREATE TABLE t (id int PRIMARY KEY, created_at timestamptz)",
    "f": "EXECUTE FUNCTION f()",
    "trigger": "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
    "CREATE TRIGGER acts AFTER INSERT ON t",
}


@pytest.mark.parametrize("reason", OBSTACLES)
def test_a_table_that_cannot_be_adopted_is_refused_with_what_to_do(plain: Connection, reason: str) -> None:
    plain.execute(OBSTACLES[reason].format(**PARTS).encode())
    before = plain.execute(RELATIONS).fetchall()

    with pytest.raises(AdoptionRefusedError) as refused:
        adopt_table(plain, table_to_adopt(plain, TableName("public", "t")), column="created_at")

    assert len(refused.value.reasons) == 1, refused.value
    assert reason in refused.value.reasons[0]
    assert plain.execute(RELATIONS).fetchall() == before


def test_a_role_that_does_not_own_the_table_is_refused(plain: Connection) -> None:
    plain.execute(PARTS["plain"].encode())
    plain.execute("DROP ROLE IF EXISTS stranger")
    plain.execute("CREATE ROLE stranger")
    try:
        plain.execute("GRANT USAGE ON SCHEMA ops TO stranger; GRANT ALL ON ops.adoptions TO stranger")
        plain.execute("SET ROLE stranger")
        with pytest.raises(AdoptionRefusedError) as refused:
            adopt_table(plain, table_to_adopt(plain, TableName("public", "t")), column="created_at")
    finally:
        plain.execute("RESET ROLE; DROP OWNED BY stranger; DROP ROLE stranger")
    reasons = " ".join(refused.value.reasons)
    assert "does not own it" in reasons
    assert "may not create tables in schema ops" in reasons


def _interrupt() -> None:
    raise KeyboardInterrupt


def _same_on_both_sides(connection: Connection) -> None:
    """The old table, whose times have no zone, and the new one."""
    columns = "id, event_type, user_id, action, details, status, created_by"
    differing = scalar(
        connection,
        f"""
        WITH o AS (SELECT {columns}, created_at AT TIME ZONE 'UTC' AS at FROM audit_logs_before_adoption),
             n AS (SELECT {columns}, created_at AS at FROM audit_logs WHERE action IS DISTINCT FROM %s)
        SELECT count(*) FROM (
          (SELECT * FROM o EXCEPT ALL SELECT * FROM n) UNION ALL (SELECT * FROM n EXCEPT ALL SELECT * FROM o)
        ) AS d
        """,
        ["table.adoption_swapped"],
    )
    assert differing == 0
