"""Rows that a trigger or rule keeps are kept, and a run that leaves expired rows is not done."""

from pathlib import Path

import pytest

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.result import RefusedError
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings
from tests.integration.visits import ARCHIVED, POLICIES, SOFT_DELETE, TABLES, Read, plan, run


@pytest.fixture
def given(tmp_path: Path) -> Settings:
    return Settings(archive_url=str(tmp_path / "archive"), throttle_file=tmp_path / "none")


@pytest.fixture(autouse=True)
def _tables(application: Connection) -> None:
    application.execute(TABLES)


@ARCHIVED
def test_a_trigger_that_keeps_every_row_stops_the_run_and_changes_nothing(
    application: Connection, read: Read, given: Settings, archive: str, tmp_path: Path
) -> None:
    application.execute(SOFT_DELETE.format("visits", "'all'"))
    of = read(POLICIES.format(archive=archive))

    (advice,) = plan(application, of, "app/retention/visits").advice
    result = run(application, of, "app/retention/visits", given)

    assert "soft_delete on public.visits (function public.hide)" in advice
    assert (result.outcome, result.removed, result.remaining) == ("stopped", 0, 30)
    assert "30 expired rows of public.visits remain: the trigger soft_delete on" in result.stopped_reason
    assert scalar(application, "SELECT count(*) FROM visits WHERE hidden_times > 0") == 0
    assert not [*(tmp_path / "archive").rglob("*.parquet")]


@ARCHIVED
def test_rows_that_a_trigger_keeps_remain_and_the_others_are_removed(
    application: Connection, read: Read, given: Settings, archive: str
) -> None:
    application.execute(SOFT_DELETE.format("visits", "'odd'"))
    of = read(POLICIES.format(archive=archive))

    result = run(application, of, "app/retention/visits", given)

    assert (result.outcome, result.removed, result.remaining) == ("stopped", 15, 15)
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
    assert asked.severity == "error"


@ARCHIVED
@pytest.mark.parametrize("table", ["days", "days_2020"])
def test_a_partition_whose_rows_a_trigger_keeps_is_not_dropped(
    application: Connection, read: Read, given: Settings, archive: str, table: str
) -> None:
    application.execute(SOFT_DELETE.format(table, "'odd'"))
    of = read(POLICIES.format(archive=archive))

    result = run(application, of, "app/retention/days", given)

    assert (result.outcome, result.removed, result.remaining) == ("stopped", 5, 5)
    assert f"soft_delete on public.{table}" in result.stopped_reason
    assert scalar(application, "SELECT count(*) FROM days WHERE id % 2 = 1") == 5


@ARCHIVED
def test_an_orphan_that_a_trigger_keeps_remains_and_the_run_is_not_done(
    application: Connection, read: Read, given: Settings, archive: str
) -> None:
    application.execute("INSERT INTO memories (session_id) VALUES (gen_random_uuid())")
    application.execute(SOFT_DELETE.format("memories", "'all'"))
    of = read(POLICIES.format(archive=archive))

    result = run(application, of, "app/orphans/memories.session_id", given)

    assert (result.outcome, result.removed, result.remaining) == ("stopped", 0, 1)
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

    *_, refusal = plan(application, of, "app/retention/visits").refusals  # or of the archive's place

    assert "DROP RULE kept ON public.visits" in refusal
    with pytest.raises(RefusedError, match=r"the rule kept on public\.visits"):
        run(application, of, "app/retention/visits", given)
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

    (refusal,) = plan(application, of, "app/retention/visits").refusals

    assert words in refusal
    assert f"ON DELETE {action.removesuffix(' by a rule')} of children_visit_id_fkey" in refusal
    with pytest.raises(RefusedError, match="children_visit_id_fkey"):
        run(application, of, "app/retention/visits", given)
    assert scalar(application, "SELECT count(*) FROM visits") == 60


def test_a_column_that_cannot_be_null_is_not_set_to_null(
    application: Connection, read: Read, given: Settings
) -> None:
    application.execute(CHILD.format(required="NOT NULL", action="SET NULL"))
    of = read(POLICIES.format(archive="false"))

    (refusal,) = plan(application, of, "app/retention/visits").refusals

    assert "would set visit_id of public.children to NULL, which is NOT NULL" in refusal


def test_a_trigger_that_only_changes_referring_rows_is_accepted(
    application: Connection, read: Read, given: Settings
) -> None:
    application.execute(CHILD.format(required="", action="SET NULL"))
    application.execute("CREATE TRIGGER t BEFORE UPDATE ON children FOR EACH ROW EXECUTE FUNCTION touch()")
    of = read(POLICIES.format(archive="false"))

    assert run(application, of, "app/retention/visits", given).outcome == "done"
    assert scalar(application, "SELECT count(*) FROM children WHERE visit_id IS NULL") == 30
