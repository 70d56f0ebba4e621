"""A database full of unusual tables: each ends as it should, compared row by row."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg import sql as compose

from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.restore import restore
from ops_pipeline.archive.verify import verify
from ops_pipeline.holds import holds
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.plan import DeletePlan, Plan, Unplanned
from ops_pipeline.maintenance.result import RefusedError
from ops_pipeline.policies.model import Database, DeletingPolicy
from ops_pipeline.postgres.connection import Connection, connect, scalar, url_of
from ops_pipeline.postgres.relation import TableName
from ops_pipeline.settings import Settings
from ops_pipeline.storage import location
from tests.other_postgresql import migrated_database

Read = Callable[[str], Database]

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
ZOO = Path(__file__).with_name("zoo.sql").read_text(encoding="utf-8")
ODD = 'Odd %s."Log.of ""everything"" 100%"'
POLICIES = f"""
version: 1
databases:
  app:
    url: x
    guard: {{max_fraction: 1}}
    retention:
      - {{table: accounts, column: created_at, keep: 30 days, archive: true, cascade: archive}}
      - {{table: '{ODD}', column: '"wh%en."', keep: 30 days, archive: true}}
      - {{table: notes, column: at, keep: 30 days}}
      - {{table: hits, column: at, keep: 30 days, archive: true}}
      - {{table: days, column: at, keep: 30 days}}
      - {{table: secrets, column: at, keep: 30 days}}
      - {{table: base, column: at, keep: 30 days}}
      - {{table: ruled, column: at, keep: 30 days}}
      - {{table: held, column: at, keep: 30 days, archive: true}}
    orphans:
      - {{table: letters, column: to_name, references: people.name, grace_period: 0 seconds, archive: true}}
      - {{table: uses, column: code, references: codes.code, grace_period: 0 seconds}}
      - {{table: replies, column: up, references: replies.id, grace_period: 0 seconds, archive: true}}
    vacuum: {{tables: all}}
"""


@dataclass(frozen=True)
class Expected:
    """The outcome of a policy, and the condition of the rows that remain in each table."""

    outcome: str
    remain: dict[str, str]
    says: str = ""


OLD = "now() - interval '30 days'"
EXPECTED = {
    "accounts": Expected(
        "done",
        {
            "accounts": f"created_at >= {OLD}",
            "invoices": "account_id IN (SELECT id FROM accounts)",
            "lines": "invoice_id IN (SELECT id FROM invoices)",
        },
    ),
    "odd": Expected("done", {"odd": f'"wh%en." >= {OLD} OR "wh%en." IS NULL OR NOT isfinite("wh%en.")'}),
    "notes": Expected("stopped", {"notes": f"at >= {OLD} OR id % 2 = 0"}, "the trigger bury"),
    "hits": Expected("done", {"hits": f"at >= {OLD} OR NOT isfinite(at)"}),
    "days": Expected("done", {"days_now": "true"}),
    "secrets": Expected("done", {"secrets": f"at >= {OLD}"}),
    "base": Expected("refused", {"base": "true", "derived": "true"}, "public.derived"),
    "ruled": Expected("refused", {"ruled": "true"}, "rule kept"),
    "held": Expected("done", {"held": f"at >= {OLD} OR id = 77"}),
    "letters": Expected("done", {"letters": "id <= 50"}),
    "uses": Expected("done", {"uses": "id <= 50"}),
    "replies": Expected("done", {"replies": "id NOT BETWEEN 53 AND 59"}),
}
ARCHIVED = ("accounts", "invoices", "lines", "odd", "hits", "held", "letters", "replies")
NAMES = {"odd": TableName("Odd %s", 'Log.of "everything" 100%')}


def named(table: str) -> TableName:
    return NAMES.get(table, TableName("public", table))


@pytest.fixture(params=["embedded", "15"])
def zoo(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Connection]:
    """The tables of zoo.sql, in a database with unusual settings for its sessions."""
    if request.param == "15":
        if not (DEBIAN_15 / "postgres").exists():
            pytest.skip(f"PostgreSQL 15 is not in {DEBIAN_15}")
        with migrated_database(DEBIAN_15, tmp_path / "postgres") as connection:
            yield from _filled(connection)
    else:
        yield from _filled(request.getfixturevalue("connection"))


def _filled(connection: Connection) -> Iterator[Connection]:
    connection.execute(ZOO.encode())
    with connect(url_of(connection), "ops test") as session:
        hold = holds.add(session, "held_before", "id = 77", reason="x", owner="y", by="z")
        session.execute("ALTER TABLE held_before RENAME TO held; CREATE SCHEMA before")
        holds.confirm(session, hold.id, table="held", by="z")
        for expected in EXPECTED.values():
            for table in expected.remain:
                session.execute(
                    compose.SQL("CREATE TABLE before.{} AS SELECT * FROM ONLY {}").format(
                        compose.Identifier(table), named(table).identifier
                    )
                    if table in {"base", "derived"}
                    else compose.SQL("CREATE TABLE before.{} AS SELECT * FROM {}").format(
                        compose.Identifier(table), named(table).identifier
                    )
                )
        yield session


def differences(connection: Connection, one: compose.Composable, other: compose.Composable) -> int:
    """The number of rows that only one of the two queries returns."""
    statement = compose.SQL(
        "WITH one AS ({}), other AS ({}) SELECT count(*)"
        " FROM ((TABLE one EXCEPT ALL TABLE other) UNION ALL (TABLE other EXCEPT ALL TABLE one)) AS either"
    )
    return int(scalar(connection, statement.format(one, other)))


def rows(relation: compose.Composable, where: str = "true") -> compose.Composable:
    return compose.SQL("SELECT animal::text FROM ONLY {} AS animal WHERE {}").format(
        relation, compose.SQL(where)
    )


def all_rows(relation: compose.Composable, where: str = "true") -> compose.Composable:
    return compose.SQL("SELECT animal::text FROM {} AS animal WHERE {}").format(relation, compose.SQL(where))


def test_every_table_ends_as_it_should(zoo: Connection, read: Read, tmp_path: Path) -> None:
    database = read(POLICIES)
    folder = str(tmp_path / "archive")
    plans = {made.policy: made for made in kinds.plan(zoo, database.policies, archive_url=folder)}
    again = read(POLICIES)
    outcomes: dict[str, str] = {}

    for policy in kinds.children_first(zoo, again.policies):
        if not isinstance(policy, DeletingPolicy):
            assert kinds.carry_out(zoo, policy, settings=Settings(archive_url=folder)).outcome == "done"
            continue
        animal = "odd" if policy.table.schema == "Odd %s" else policy.table.name
        made, expected = plans[policy.name], EXPECTED[animal]
        if expected.outcome == "refused":
            assert refused(made), "the plan knew"
            with pytest.raises(RefusedError, match=expected.says):
                kinds.carry_out(zoo, policy, settings=Settings(archive_url=folder))
            outcomes[animal] = "refused"
            continue
        result = kinds.carry_out(zoo, policy, settings=Settings(archive_url=folder))
        outcomes[animal] = result.outcome
        assert isinstance(made, DeletePlan), made
        assert made.refusals == ()
        assert expected.says in result.stopped_reason
        kept = 36 if animal == "notes" else 0
        assert result.removed == made.rows.eligible - kept, animal

    assert outcomes == {animal: expected.outcome for animal, expected in EXPECTED.items()}
    for expected in EXPECTED.values():
        for table, remain in expected.remain.items():
            form = rows if table in {"base", "derived"} else all_rows
            before = compose.SQL("SELECT animal::text FROM before.{} AS animal WHERE {}").format(
                compose.Identifier(table), compose.SQL(remain)
            )
            assert differences(zoo, form(named(table).identifier), before) == 0, table
    assert scalar(zoo, "SELECT to_regclass('days_old') IS NULL AND to_regclass('days_away') IS NOT NULL")
    archive = Archive(location.storage(folder), zoo)
    assert verify(zoo, archive, by="test").problems == ()
    for table in ARCHIVED:
        into = TableName("public", f"{table}_again")
        restore(zoo, archive, named(table).qualified, first=None, last=None, into=str(into), by="test")
        remain = next(expected.remain[table] for expected in EXPECTED.values() if table in expected.remain)
        deleted = compose.SQL("SELECT animal::text FROM before.{} AS animal WHERE ({}) IS NOT TRUE").format(
            compose.Identifier(table), compose.SQL(remain)
        )
        assert differences(zoo, all_rows(into.identifier), deleted) == 0, table


def refused(made: Plan | Unplanned) -> bool:
    return isinstance(made, Unplanned) or bool(made.refusals)
