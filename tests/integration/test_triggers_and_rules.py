"""Rows that a trigger or rule keeps are kept, and a run that leaves expired rows is not done."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.batches.actions.deleted_along import UnplannedDeletionError
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.maintenance.result import RefusedError, RunResult
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings

Read = Callable[..., Database]

TABLES = """
CREATE TABLE visits (id int PRIMARY KEY, at timestamptz, hidden_times int NOT NULL DEFAULT 0);
INSERT INTO visits SELECT n, now() - n * interval '1 day' + interval '1 hour' FROM generate_series(1, 60) n;
CREATE TABLE days (id int, at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE days_2020 PARTITION OF days FOR VALUES FROM ('2020-01-01') TO ('2020-02-01');
INSERT INTO days SELECT n, '2020-01-02' FROM generate_series(1, 10) n;
CREATE FUNCTION hide() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_ARGV[0] = 'odd' THEN
    IF OLD.id % 2 = 0 THEN
      RETURN OLD;
    END IF;
  END IF;
  IF TG_TABLE_NAME = 'visits' THEN
    UPDATE visits SET hidden_times = hidden_times + 1 WHERE id = OLD.id;
  END IF;
  RETURN NULL;
END $$
"""
POLICIES = """
version: 1
databases:
  app:
    url: x
    guard: {{max_fraction: 1}}
    retention:
      - {{table: visits, column: at, keep: 30 days, archive: {archive}}}
      - {{table: days, column: at, keep: 30 days, archive: {archive}}}
    orphans:
      - {{table: memories, column: session_id, references: sessions.id, grace_period: 0 seconds,
         archive: {archive}}}
"""
SOFT_DELETE = "CREATE TRIGGER soft_delete BEFORE DELETE ON {} FOR EACH ROW EXECUTE FUNCTION hide({})"
ARCHIVED = pytest.mark.parametrize("archive", ["true", "false"], ids=["archived", "deleted"])


@pytest.fixture
def given(tmp_path: Path) -> Settings:
    return Settings(archive_url=str(tmp_path / "archive"), pause_file=tmp_path / "none")


@pytest.fixture(autouse=True)
def _tables(application: Connection) -> None:
    application.execute(TABLES)


def _run(connection: Connection, of: Database, name: str, given: Settings) -> RunResult:
    (policy,) = [policy for policy in of.policies if policy.name == name]
    return kinds.carry_out(connection, policy, settings=given)


def _plan(connection: Connection, of: Database, name: str) -> DeletePlan:
    (plan,) = [plan for plan in kinds.plan(connection, of.policies) if plan.policy == name]
    assert isinstance(plan, DeletePlan)
    return plan


@ARCHIVED
def test_a_trigger_that_keeps_every_row_stops_the_run_and_changes_nothing(
    application: Connection, read: Read, given: Settings, archive: str, tmp_path: Path
) -> None:
    application.execute(SOFT_DELETE.format("visits", "'all'"))
    of = read(POLICIES.format(archive=archive))

    (advice,) = _plan(application, of, "app/retention/visits").advice
    result = _run(application, of, "app/retention/visits", given)

    assert "soft_delete on public.visits (function public.hide)" in advice
    assert (result.outcome, result.removed, result.left) == ("stopped", 0, 30)
    assert "30 expired rows of public.visits remain: the trigger soft_delete on" in result.stopped_reason
    assert scalar(application, "SELECT count(*) FROM visits WHERE hidden_times > 0") == 0
    assert not [*(tmp_path / "archive").rglob("*.parquet")]


@ARCHIVED
def test_rows_that_a_trigger_keeps_remain_and_the_others_are_removed(
    application: Connection, read: Read, given: Settings, archive: str
) -> None:
    application.execute(SOFT_DELETE.format("visits", "'odd'"))
    of = read(POLICIES.format(archive=archive))

    result = _run(application, of, "app/retention/visits", given)

    assert (result.outcome, result.removed, result.left) == ("stopped", 15, 15)
    assert result.archived == (15 if archive == "true" else 0)
    kept = "SELECT bool_and(id % 2 = 1) FROM visits WHERE at < now() - interval '30 days'"
    assert scalar(application, kept) is True
    (check,) = [
        check
        for check in kinds.kind_of(of.policies[0]).checks(of.policies[0])
        if check.name == "no_expired_rows"
    ]
    asked = check.ask(application)
    assert not asked.passed
    assert asked.fails_run


@ARCHIVED
@pytest.mark.parametrize("table", ["days", "days_2020"])
def test_a_partition_whose_rows_a_trigger_keeps_is_not_dropped(
    application: Connection, read: Read, given: Settings, archive: str, table: str
) -> None:
    application.execute(SOFT_DELETE.format(table, "'odd'"))
    of = read(POLICIES.format(archive=archive))

    result = _run(application, of, "app/retention/days", given)

    assert (result.outcome, result.removed, result.left) == ("stopped", 5, 5)
    assert f"soft_delete on public.{table}" in result.stopped_reason
    assert scalar(application, "SELECT count(*) FROM days WHERE id % 2 = 1") == 5


@ARCHIVED
def test_an_orphan_that_a_trigger_keeps_remains_and_the_run_is_not_done(
    application: Connection, read: Read, given: Settings, archive: str
) -> None:
    application.execute("INSERT INTO memories (session_id) VALUES (gen_random_uuid())")
    application.execute(SOFT_DELETE.format("memories", "'all'"))
    of = read(POLICIES.format(archive=archive))

    result = _run(application, of, "app/orphans/memories.session_id", given)

    assert (result.outcome, result.removed, result.left) == ("stopped", 0, 1)
    assert "the trigger soft_delete on public.memories" in result.stopped_reason


RULES = {
    "instead": "DO INSTEAD UPDATE visits SET hidden_times = hidden_times + 1 WHERE id = OLD.id",
    "where": "WHERE OLD.id = 40 DO INSTEAD NOTHING",
    "also": "DO ALSO INSERT INTO deleted VALUES (OLD.id)",
}


@ARCHIVED
@pytest.mark.parametrize("which", list(RULES))
def test_a_rule_on_delete_is_refused_by_plan_and_run(
    application: Connection, read: Read, given: Settings, archive: str, which: str
) -> None:
    application.execute("CREATE TABLE deleted (id int)")
    application.execute(f"CREATE RULE kept AS ON DELETE TO visits {RULES[which]}")
    of = read(POLICIES.format(archive=archive))

    *_, refusal = _plan(application, of, "app/retention/visits").refusals  # or of the archive's place

    assert 'DROP RULE "kept" ON "public"."visits"' in refusal
    with pytest.raises(RefusedError, match=r"the rule kept on public\.visits"):
        _run(application, of, "app/retention/visits", given)
    assert scalar(application, "SELECT count(*) FROM visits WHERE hidden_times = 0") == 60
    assert scalar(application, "SELECT count(*) FROM deleted") == 0


CHILD = """
CREATE TABLE children (visit_id int {required} DEFAULT 60 REFERENCES visits ON DELETE {action});
CREATE INDEX ON children (visit_id);
INSERT INTO children SELECT id FROM visits;
CREATE FUNCTION void() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
"""
VOIDING = "CREATE TRIGGER t BEFORE {} ON children FOR EACH ROW EXECUTE FUNCTION void()"
VOIDED = {
    "CASCADE": (VOIDING.format("DELETE"), "may void the"),
    "SET NULL": (VOIDING.format("UPDATE"), "may void the"),
    "SET DEFAULT": (VOIDING.format("UPDATE"), "may void the"),
    "CASCADE by a rule": ("CREATE RULE r AS ON DELETE TO children DO INSTEAD NOTHING", "would make the"),
}


@pytest.mark.parametrize("action", list(VOIDED))
def test_triggers_and_rules_that_would_leave_dangling_references_are_refused(
    application: Connection, read: Read, given: Settings, action: str
) -> None:
    statement, words = VOIDED[action]
    application.execute(CHILD.format(required="", action=action.removesuffix(" by a rule")))
    application.execute(statement)
    of = read(POLICIES.format(archive="false"))

    (refusal,) = _plan(application, of, "app/retention/visits").refusals

    assert words in refusal
    assert f"ON DELETE {action.removesuffix(' by a rule')} of children_visit_id_fkey" in refusal
    with pytest.raises(RefusedError, match="children_visit_id_fkey"):
        _run(application, of, "app/retention/visits", given)
    assert scalar(application, "SELECT count(*) FROM visits") == 60


def test_a_column_that_cannot_be_null_is_not_set_to_null(
    application: Connection, read: Read, given: Settings
) -> None:
    application.execute(CHILD.format(required="NOT NULL", action="SET NULL"))
    of = read(POLICIES.format(archive="false"))

    (refusal,) = _plan(application, of, "app/retention/visits").refusals

    assert "would set visit_id of public.children to NULL, which is NOT NULL" in refusal


def test_a_trigger_that_only_changes_referring_rows_is_accepted(
    application: Connection, read: Read, given: Settings
) -> None:
    application.execute(CHILD.format(required="", action="SET NULL"))
    application.execute("CREATE TRIGGER t BEFORE UPDATE ON children FOR EACH ROW EXECUTE FUNCTION touch()")
    of = read(POLICIES.format(archive="false"))

    assert _run(application, of, "app/retention/visits", given).outcome == "done"
    assert scalar(application, "SELECT count(*) FROM children WHERE visit_id IS NULL") == 30


CHILDREN = """
CREATE TABLE marks (id int PRIMARY KEY, visit_id int REFERENCES visits ON DELETE {action});
CREATE INDEX ON marks (visit_id);
INSERT INTO marks SELECT id, id FROM visits;
"""
# How the children refer, what the trigger does, and when it is fired.
AGAIN = {
    "deferred to the commit": (
        "SET NULL",
        "IF OLD.id % 4 = 0 THEN INSERT INTO visits SELECT OLD.*; END IF;",
        "CONSTRAINT TRIGGER again AFTER DELETE ON visits DEFERRABLE INITIALLY DEFERRED",
    ),
    "by a key that clears": (
        "SET NULL",
        "INSERT INTO visits (id, at) VALUES (OLD.visit_id, '2020-01-01');",
        "TRIGGER again AFTER UPDATE ON marks",
    ),
    "children": (
        "CASCADE",
        "INSERT INTO marks VALUES (OLD.id, NULL);",
        "TRIGGER again AFTER DELETE ON marks",
    ),
}


@pytest.mark.parametrize("how", AGAIN)
def test_a_row_that_is_inserted_again_is_not_archived(
    application: Connection, read: Read, given: Settings, how: str
) -> None:
    action, done, fired = AGAIN[how]
    application.execute(CHILDREN.format(action=action))
    application.execute(
        f"CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {done} RETURN NULL; END $$;"
        f"CREATE {fired} FOR EACH ROW EXECUTE FUNCTION again()"
    )
    before = scalar(application, "SELECT count(*) FROM visits")
    archive = "true, cascade: archive" if how == "children" else "true"
    of = read(POLICIES.format(archive=archive))

    with pytest.raises(UnplannedDeletionError, match=r"a trigger has inserted \d+ rows into public"):
        _run(application, of, "app/retention/visits", given)

    assert scalar(application, "SELECT count(*) FROM visits") == before
    assert list(Path(str(given.archive_url)).rglob("*.parquet")) == []


def test_a_trigger_may_insert_another_row_in_place_of_a_deleted_one(
    application: Connection, read: Read, given: Settings
) -> None:
    application.execute(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$"
        "BEGIN INSERT INTO visits (id, at) VALUES (-OLD.id - 1, now()); RETURN NULL; END $$;"
        "CREATE TRIGGER note AFTER DELETE ON visits FOR EACH ROW EXECUTE FUNCTION note()"
    )

    of = read(POLICIES.format(archive="true"))

    assert _run(application, of, "app/retention/visits", given).outcome == "done"


def test_rows_that_a_deferred_trigger_deletes_elsewhere_are_counted(
    application: Connection, read: Read, given: Settings
) -> None:
    application.execute(
        "CREATE TABLE notes (id int, at timestamptz); INSERT INTO notes SELECT id, now() FROM visits;"
        "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN DELETE FROM notes WHERE id = OLD.id; RETURN NULL; END';"
        "CREATE CONSTRAINT TRIGGER forget AFTER DELETE ON visits DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION forget()"
    )
    keeping = "    orphans:"
    entry = "      - {table: notes, column: at, keep: 300 days}\n"
    of = read(POLICIES.format(archive="false").replace(keeping, entry + keeping))

    with pytest.raises(UnplannedDeletionError, match=r"also have deleted .* rows of public\.notes"):
        _run(application, of, "app/retention/visits", given)


def test_with_track_counts_off_a_policy_that_reaches_other_tables_is_refused(
    application: Connection, read: Read, given: Settings
) -> None:
    of = read(POLICIES.format(archive="false"))
    application.execute("SET track_counts = off")
    assert _plan(application, of, "app/retention/visits").refusals == ()
    application.execute(CHILDREN.format(action="SET NULL"))

    (refusal,) = _plan(application, of, "app/retention/visits").refusals

    assert "track_counts is off" in refusal
    assert "SET track_counts = on" in refusal


PUT_BACK = """
CREATE FUNCTION put_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO visits SELECT * FROM gone WHERE id % 4 = 0; RETURN NULL; END $$;
CREATE TRIGGER put_back AFTER DELETE ON visits REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION put_back()
"""


def test_rows_that_a_trigger_puts_back_remain_and_it_is_named(
    application: Connection, read: Read, given: Settings
) -> None:
    application.execute(PUT_BACK)
    of = read(POLICIES.format(archive="false"))

    (advice,) = _plan(application, of, "app/retention/visits").advice
    result = _run(application, of, "app/retention/visits", given)

    assert "put_back on public.visits" in advice
    assert (result.outcome, result.left) == ("stopped", 8)
    assert "the trigger put_back on public.visits" in result.stopped_reason


def test_rows_that_a_trigger_puts_back_are_not_archived(
    application: Connection, read: Read, given: Settings
) -> None:
    application.execute(PUT_BACK)
    before = scalar(application, "SELECT count(*) FROM visits")
    of = read(POLICIES.format(archive="true"))

    with pytest.raises(UnplannedDeletionError, match=r"a trigger has inserted 8 rows into public\.visits"):
        _run(application, of, "app/retention/visits", given)

    assert scalar(application, "SELECT count(*) FROM visits") == before
    assert list(Path(str(given.archive_url)).rglob("*.parquet")) == []


@ARCHIVED
def test_a_trigger_runs_for_each_row_of_a_partition(
    application: Connection, read: Read, given: Settings, archive: str
) -> None:
    application.execute(
        """
        CREATE TABLE outbox (id int);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO outbox VALUES (OLD.id); RETURN NULL; END $$;
        CREATE TRIGGER note AFTER DELETE ON days FOR EACH ROW EXECUTE FUNCTION note()
        """
    )
    of = read(POLICIES.format(archive=archive))

    result = _run(application, of, "app/retention/days", given)

    assert (result.outcome, result.removed, result.left) == ("done", 10, 0)
    assert scalar(application, "SELECT count(*) FROM outbox") == 10
