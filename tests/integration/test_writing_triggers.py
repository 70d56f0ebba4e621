"""Triggers that insert or delete rows while a policy deletes: their rows are counted, kept or refused."""

from pathlib import Path

import pytest

from ops_pipeline.maintenance.batches.actions.deleted_by_cascade import UnplannedDeletionError
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings
from tests.integration.visits import ARCHIVED, POLICIES, TABLES, Read, plan, run


@pytest.fixture
def given(tmp_path: Path) -> Settings:
    return Settings(archive_url=str(tmp_path / "archive"), throttle_file=tmp_path / "none")


@pytest.fixture(autouse=True)
def _tables(application: Connection) -> None:
    application.execute(TABLES)


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
        run(application, of, "app/retention/visits", given)

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

    assert run(application, of, "app/retention/visits", given).outcome == "done"


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
        run(application, of, "app/retention/visits", given)


def test_with_track_counts_off_a_policy_that_reaches_other_tables_is_refused(
    application: Connection, read: Read, given: Settings
) -> None:
    of = read(POLICIES.format(archive="false"))
    application.execute("SET track_counts = off")
    assert plan(application, of, "app/retention/visits").refusals == ()
    application.execute(CHILDREN.format(action="SET NULL"))

    (refusal,) = plan(application, of, "app/retention/visits").refusals

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

    (advice,) = plan(application, of, "app/retention/visits").advice
    result = run(application, of, "app/retention/visits", given)

    assert "put_back on public.visits" in advice
    assert (result.outcome, result.remaining) == ("stopped", 8)
    assert "the trigger put_back on public.visits" in result.stopped_reason


def test_rows_that_a_trigger_puts_back_are_not_archived(
    application: Connection, read: Read, given: Settings
) -> None:
    application.execute(PUT_BACK)
    before = scalar(application, "SELECT count(*) FROM visits")
    of = read(POLICIES.format(archive="true"))

    with pytest.raises(UnplannedDeletionError, match=r"a trigger has inserted 8 rows into public\.visits"):
        run(application, of, "app/retention/visits", given)

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

    result = run(application, of, "app/retention/days", given)

    assert (result.outcome, result.removed, result.remaining) == ("done", 10, 0)
    assert scalar(application, "SELECT count(*) FROM outbox") == 10
