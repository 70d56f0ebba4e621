"""`cascade:` in a policy: rows that foreign keys also delete are archived first, or deleted knowingly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql as compose

from ops_pipeline.archive import manifest
from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.restore import restore
from ops_pipeline.archive.verify import verify
from ops_pipeline.holds import holds
from ops_pipeline.maintenance import history
from ops_pipeline.maintenance.batches.actions.deleted_by_cascade import UnplannedDeletionError
from ops_pipeline.maintenance.guard import approvals, guard
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.maintenance.result import RefusedError, RunResult
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, connect
from ops_pipeline.settings import Settings
from ops_pipeline.storage import location

Read = Callable[[str], Database]

SCHEMA = """
CREATE TABLE accounts (id int PRIMARY KEY, created_at timestamptz NOT NULL);
CREATE TABLE invoices (
  id int PRIMARY KEY, account_id int REFERENCES accounts ON DELETE CASCADE, created_at timestamptz,
  amount numeric, note text DEFAULT 'x'
);
CREATE INDEX ON invoices (account_id);
CREATE TABLE lines (
  id int, invoice_id int REFERENCES invoices ON DELETE CASCADE, PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX ON lines (invoice_id);
CREATE TABLE lines_1 PARTITION OF lines FOR VALUES FROM (0) TO (3000);
CREATE TABLE lines_2 PARTITION OF lines DEFAULT;
CREATE TABLE visits (id int PRIMARY KEY, account_id int REFERENCES accounts ON DELETE SET NULL);
CREATE INDEX ON visits (account_id);
CREATE TABLE carts (id int PRIMARY KEY, invoice_id int REFERENCES invoices ON DELETE SET DEFAULT);
CREATE INDEX ON carts (invoice_id);
INSERT INTO accounts SELECT n, now() - CASE WHEN n <= 100 THEN '40 days'::interval ELSE '1 day' END
FROM generate_series(1, 300) AS n;
INSERT INTO invoices SELECT n, 1 + n % 300, now() - make_interval(days => n % 50), n / 7.0
FROM generate_series(0, 2999) AS n;
INSERT INTO lines SELECT n, n % 3000 FROM generate_series(0, 5999) AS n;
INSERT INTO visits SELECT n, n FROM generate_series(91, 110) AS n;
INSERT INTO carts SELECT n, n FROM generate_series(0, 299) AS n;
"""
TABLES = ("accounts", "invoices", "lines", "visits", "carts")
POLICIES = """
version: 1
databases:
  app:
    url: x
    retention:
      - {{table: accounts, column: created_at, keep: 30 days, {accounts}, guard: {{max_fraction: 1}}}}
      - {{table: invoices, column: created_at, keep: 3650 days, archive: true}}
"""


@pytest.fixture
def shop(connection: Connection) -> Connection:
    """Of 300 accounts 100 have expired, with 1,000 invoices and their 2,000 lines."""
    connection.execute(SCHEMA)
    return connection


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def policies(read: Read, accounts: str) -> Database:
    return read(POLICIES.format(accounts=accounts))


def settings(folder: Path) -> Settings:
    return Settings(archive_url=str(folder))


def planned(connection: Connection, database: Database, folder: Path, number: int = 0) -> DeletePlan:
    plans = {made.policy: made for made in plan(connection, database.policies, archive_url=str(folder))}
    made = plans[database.policies[number].name]
    assert isinstance(made, DeletePlan), made
    return made


def rows(connection: Connection, table: str, where: str = "true") -> list[str]:
    """The table's rows as text, sorted."""
    statement = compose.SQL("SELECT t::text FROM {} AS t WHERE {} ORDER BY 1").format(
        compose.Identifier(table), compose.SQL(where)
    )
    return [text for (text,) in connection.execute(statement)]


def cascaded(result: RunResult) -> dict[str, tuple[int, int]]:
    return {row["table"]: (row["deleted"], row["changed"]) for row in result.cascaded}


def test_children_of_every_level_are_archived_exactly_and_come_back(
    shop: Connection, read: Read, folder: Path, small_batches: None
) -> None:
    database = policies(read, "archive: true, cascade: archive")
    expired = {
        "accounts": rows(shop, "accounts", "id <= 100"),
        "invoices": rows(shop, "invoices", "account_id <= 100"),
        "lines": rows(shop, "lines", "invoice_id IN (SELECT id FROM invoices WHERE account_id <= 100)"),
    }
    kept = {table: rows(shop, table) for table in TABLES}

    made = planned(shop, database, folder)
    result = carry_out(shop, database.policies[0], settings=settings(folder))

    assert made.refusals == ()
    assert {(str(each.table), each.action, each.rows, each.archived) for each in made.cascaded} == {
        ("public.invoices", "deleted", 1000, True),
        ("public.lines", "deleted", 2000, True),
        ("public.visits", "set to NULL", 10, False),
        ("public.carts", "set to default", 100, False),
    }
    assert (result.outcome, result.removed, result.archived) == ("done", 100, 3100)
    assert cascaded(result) == {
        "public.invoices": (1000, 0), "public.lines": (2000, 0), "public.visits": (0, 10),
        "public.carts": (0, 100),
    }  # fmt: skip
    for table, gone in expired.items():
        assert rows(shop, table) == sorted(set(kept[table]) - set(gone))
    archive = Archive(location.storage(str(folder)), shop)
    assert not verify(shop, archive, sample=None, by="test").problems
    for table, gone in expired.items():
        restored = restore(shop, archive, table, first=None, last=None, into=f"{table}_again", by="test")
        assert restored.rows == len(gone)
        assert rows(shop, f"{table}_again") == gone
    days = {file.day for file in manifest.all_files(shop) if file.table_name == "invoices"}
    assert len(days) == 50, "archived by the time column of their own policy"


def test_without_a_cascade_key_the_policy_is_refused_and_the_key_it_names_makes_it_run(
    shop: Connection, read: Read, folder: Path
) -> None:
    database = policies(read, "archive: false")
    (refusal,) = planned(shop, database, folder).refusals
    assert "1,000 rows of public.invoices" in refusal
    assert "`cascade: archive` or `cascade: delete`" in refusal
    with pytest.raises(RefusedError, match="app/retention/invoices"):
        carry_out(shop, database.policies[0], settings=settings(folder))

    knowingly = policies(read, "archive: false, cascade: delete")
    assert planned(shop, knowingly, folder).refusals == ()
    result = carry_out(shop, knowingly.policies[0], settings=settings(folder))

    assert (result.outcome, result.removed, result.archived) == ("done", 100, 0)
    assert cascaded(result)["public.invoices"] == (1000, 0)
    assert cascaded(result)["public.lines"] == (2000, 0)
    assert history.results(shop, run_id=result.run_id)[0].cascaded == result.cascaded


def test_an_archive_without_children_to_lose_is_not_refused(
    shop: Connection, read: Read, folder: Path
) -> None:
    shop.execute("DELETE FROM invoices WHERE account_id <= 100; DELETE FROM visits")
    database = policies(read, "archive: true")

    assert planned(shop, database, folder).refusals == ()
    result = carry_out(shop, database.policies[0], settings=settings(folder))

    assert (result.outcome, result.removed, result.archived, result.cascaded) == ("done", 100, 100, [])


@pytest.mark.parametrize("archive", ["true", "false"])
def test_a_child_inserted_after_the_plan_is_not_deleted(
    shop: Connection, read: Read, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch, archive: str
) -> None:
    shop.execute("DELETE FROM invoices WHERE account_id <= 100")
    database = policies(read, f"archive: {archive}")
    original = guard.judge

    def judged_too_early(*given: Any, **more: Any) -> Any:
        with connect(url, "test application") as application:
            application.execute("INSERT INTO invoices VALUES (9999, 7, now(), 1)")
        return original(*given, **more)

    monkeypatch.setattr(guard, "judge", judged_too_early)

    with pytest.raises(UnplannedDeletionError, match=r"1 row of public\.invoices"):
        carry_out(shop, database.policies[0], settings=settings(folder))

    assert rows(shop, "invoices", "id = 9999")
    assert len(rows(shop, "accounts")) == 300
    assert not list(folder.rglob("*.parquet"))


def test_a_trigger_that_deletes_elsewhere_is_recorded_and_may_not_touch_what_others_keep(
    shop: Connection, read: Read, folder: Path
) -> None:
    shop.execute(
        "CREATE TABLE logins (id int, account_id int);"
        "INSERT INTO logins SELECT n, n FROM generate_series(1, 300) n;"
        "CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN DELETE FROM logins WHERE account_id = OLD.id; RETURN OLD; END';"
        "CREATE TRIGGER forget BEFORE DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION forget()"
    )
    database = policies(read, "cascade: delete")

    result = carry_out(shop, database.policies[0], settings=settings(folder))

    assert cascaded(result)["public.logins"] == (100, 0)
    assert len(rows(shop, "logins")) == 200
    shop.execute("DELETE FROM invoices; UPDATE accounts SET created_at = now() - interval '50 days'")
    kept = read(
        POLICIES.format(accounts="archive: false") + "      - {table: logins, column: at, keep: 90 days}"
    )

    with pytest.raises(UnplannedDeletionError, match=r"200 rows of public\.logins.*app/retention/logins"):
        carry_out(shop, kept.policies[0], settings=settings(folder))

    assert (len(rows(shop, "logins")), len(rows(shop, "accounts"))) == (200, 200)


KEEPS_SEVENTH = """
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN IF OLD.id = 7 THEN RETURN NULL; END IF; RETURN OLD; END';
CREATE TRIGGER keep BEFORE DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION keep();
"""


def test_children_of_rows_that_a_trigger_may_keep_are_not_archived(
    shop: Connection, read: Read, folder: Path
) -> None:
    shop.execute(KEEPS_SEVENTH)
    database = policies(read, "archive: true, cascade: archive")
    before = {table: rows(shop, table) for table in TABLES}

    (refusal,) = planned(shop, database, folder).refusals
    assert "the trigger keep on public.accounts (function public.keep) may keep rows" in refusal
    assert "DISABLE TRIGGER keep" in refusal
    with pytest.raises(RefusedError, match="may keep rows"):
        carry_out(shop, database.policies[0], settings=settings(folder))

    assert {table: rows(shop, table) for table in TABLES} == before
    knowingly = policies(read, "archive: false, cascade: delete")
    assert carry_out(shop, knowingly.policies[0], settings=settings(folder)).removed == 99
    kept = [text for text in before["invoices"] if text.split(",")[1] == "7"]
    assert kept
    assert rows(shop, "invoices", "account_id = 7") == kept


def test_a_trigger_created_after_the_plan_deletes_no_child(
    shop: Connection, read: Read, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = policies(read, "archive: true, cascade: archive")
    before = {table: rows(shop, table) for table in TABLES}
    original = guard.judge

    def judged_too_early(*given: Any, **more: Any) -> Any:
        with connect(url, "test application") as application:
            application.execute(KEEPS_SEVENTH)
        return original(*given, **more)

    monkeypatch.setattr(guard, "judge", judged_too_early)

    with pytest.raises(UnplannedDeletionError, match=r"1 row of public\.accounts was kept by a trigger"):
        carry_out(shop, database.policies[0], settings=settings(folder))

    assert {table: rows(shop, table) for table in TABLES} == before
    assert not list(folder.rglob("*.parquet"))


def test_a_hold_on_a_grandchild_keeps_the_whole_branch(
    shop: Connection, read: Read, folder: Path, small_batches: None
) -> None:
    held = {table: rows(shop, table) for table in ("invoices", "lines")}
    holds.add(shop, "lines", "id = 3006", reason="x", owner="y", by="z")
    database = policies(read, "archive: true, cascade: archive")

    result = carry_out(shop, database.policies[0], settings=settings(folder))

    assert (result.removed, result.details["referenced"]) == (99, 1)
    assert rows(shop, "accounts", "id <= 100") == [
        text for text in rows(shop, "accounts") if text.startswith("(7,")
    ]
    of_branch = [text for text in held["invoices"] if f"{text.split(',')[1]}" == "7"]
    assert rows(shop, "invoices", "account_id = 7") == of_branch


def test_an_approval_covers_only_the_planned_number_of_cascaded_rows(
    shop: Connection, read: Read, folder: Path
) -> None:
    text = POLICIES.format(accounts="archive: true, cascade: archive").replace(
        "max_fraction: 1", "max_fraction: 0.33"
    )
    database = read(text)
    shop.execute("INSERT INTO accounts SELECT n, now() FROM generate_series(1000, 1400) AS n")
    stopped = carry_out(shop, database.policies[0], settings=settings(folder))
    assert stopped.outcome == "needs_approval"
    assert "1,000 rows of public.invoices are also archived and deleted" in stopped.stopped_reason
    (waiting,) = approvals.pending(shop)
    assert (waiting.eligible, waiting.cascaded) == (100, 3000)
    approvals.approve(shop, waiting.id, "ann")
    shop.execute("INSERT INTO lines VALUES (9000, 6)")

    outgrown = carry_out(shop, database.policies[0], settings=settings(folder))
    assert "approved for 3,000 rows of other tables" in outgrown.stopped_reason
    shop.execute("DELETE FROM lines WHERE id = 9000")

    assert carry_out(shop, database.policies[0], settings=settings(folder)).removed == 100


def test_children_that_an_earlier_policy_deletes_do_not_refuse_the_parents_policy(
    shop: Connection, read: Read, folder: Path
) -> None:
    shop.execute("UPDATE invoices SET created_at = now() - interval '400 days' WHERE account_id <= 100")
    database = read(
        """
version: 1
databases:
  app:
    url: x
    guard: {max_fraction: 1}
    retention:
      - {table: invoices, column: created_at, keep: 365 days}
      - {table: accounts, column: created_at, keep: 30 days}
"""
    )

    plans = [planned(shop, database, folder, number) for number in (0, 1)]
    assert [made.refusals for made in plans] == [(), ()]
    assert [carry_out(shop, policy).removed for policy in database.policies] == [1000, 100]


def test_children_are_archived_only_beside_their_parents(read: Read) -> None:
    with pytest.raises(PolicyError, match="cascade: archive requires archive: true"):
        policies(read, "cascade: archive")
    with pytest.raises(PolicyError, match="'archive' or 'delete'"):
        policies(read, "cascade: keep")
