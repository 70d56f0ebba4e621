"""A constraint that is not enforced keeps no row, also deletes none and blocks nothing."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops_pipeline.diagnosis.diagnosis import Examination
from ops_pipeline.diagnosis.not_enforced import NOT_ENFORCED
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.partitions.adopt.adopt import adopt_table
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import TableName, find_relation
from ops_pipeline.settings import Settings
from tests.other_postgresql import migrated_database

Read = Callable[[str], Database]

PROGRAMS = Path(os.environ.get("POSTGRESQL_18_BIN", "/usr/lib/postgresql/18/bin"))
RETENTION = (
    "version: 1\ndatabases: {app: {url: x, retention:"
    " [{table: accounts, column: at, keep: 30 days, guard: {max_fraction: 1}}]}}"
)


@pytest.fixture
def postgresql_18(tmp_path: Path) -> Iterator[Connection]:
    """A migrated database on PostgreSQL 18, the first version with NOT ENFORCED foreign keys."""
    if not (PROGRAMS / "postgres").exists():
        pytest.skip(f"PostgreSQL 18 is not in {PROGRAMS}; POSTGRESQL_18_BIN says where it is")
    with migrated_database(PROGRAMS, tmp_path / "postgres") as session:
        yield session


def accounts(connection: Connection) -> None:
    connection.execute(
        "CREATE TABLE accounts (id int PRIMARY KEY, at timestamptz NOT NULL);"
        "INSERT INTO accounts SELECT n, '2020-01-01' FROM generate_series(1, 100) AS n;"
        "CREATE TABLE notes (account int, text text);"
        "INSERT INTO notes SELECT n, repeat('x', 1000) FROM generate_series(1, 1000) AS n"
    )


@pytest.mark.parametrize("action", ["NO ACTION", "CASCADE", "SET NULL"])
def test_a_key_that_is_not_enforced_neither_keeps_nor_deletes_a_row(
    postgresql_18: Connection, read: Read, action: str
) -> None:
    accounts(postgresql_18)
    postgresql_18.execute(
        f"ALTER TABLE notes ADD FOREIGN KEY (account) REFERENCES accounts ON DELETE {action} NOT ENFORCED"
    )
    database = read(RETENTION)

    (planned,) = plan(postgresql_18, database.policies)

    assert isinstance(planned, DeletePlan), planned
    assert (planned.rows.eligible, planned.cascaded, planned.refusals) == (100, (), ())
    assert carry_out(postgresql_18, database.policies[0]).removed == 100
    assert scalar(postgresql_18, "SELECT count(*) FROM notes WHERE account IS NOT NULL") == 1000


def test_a_key_that_is_not_valid_keeps_the_rows_that_are_referred_to(
    connection: Connection, read: Read
) -> None:
    accounts(connection)
    connection.execute(
        "CREATE INDEX ON notes (account); DELETE FROM notes WHERE account BETWEEN 1 AND 60;"
        "ALTER TABLE notes ADD FOREIGN KEY (account) REFERENCES accounts NOT VALID"
    )
    database = read(RETENTION)

    (planned,) = plan(connection, database.policies)

    assert isinstance(planned, DeletePlan), planned
    assert (planned.rows.eligible, planned.rows.referenced) == (60, 40)
    assert carry_out(connection, database.policies[0]).removed == 60


def test_a_table_with_constraints_that_are_not_enforced_is_adopted_with_them(
    postgresql_18: Connection,
) -> None:
    accounts(postgresql_18)
    postgresql_18.execute(
        "CREATE TABLE owners (id int PRIMARY KEY);"
        "ALTER TABLE accounts ADD CONSTRAINT of_owner FOREIGN KEY (id) REFERENCES owners NOT ENFORCED;"
        "ALTER TABLE accounts ADD CONSTRAINT is_small CHECK (id < 10) NOT ENFORCED"
    )

    adopt_table(postgresql_18, find_relation(postgresql_18, TableName("public", "accounts")), column="at")

    assert postgresql_18.execute(
        "SELECT conname::text, conenforced FROM pg_constraint"
        " WHERE conrelid = 'accounts'::regclass AND contype IN ('c', 'f') ORDER BY 1"
    ).fetchall() == [("is_small", False), ("of_owner", False)]
    assert scalar(postgresql_18, "SELECT count(*) FROM accounts") == 100


def test_doctor_names_constraints_that_are_not_enforced_and_how_to_enforce_them(
    postgresql_18: Connection, read: Read
) -> None:
    accounts(postgresql_18)
    postgresql_18.execute(
        "ALTER TABLE notes ADD CONSTRAINT of_account FOREIGN KEY (account) REFERENCES accounts NOT ENFORCED;"
        "DELETE FROM notes WHERE account > 100"
    )
    examined = Examination(postgresql_18, read(RETENTION).policies, Settings())

    (found,) = NOT_ENFORCED.find(examined)

    assert found.subject == "public.notes"
    assert "of_account of public.notes to public.accounts is NOT ENFORCED" in found.problem
    postgresql_18.execute(found.remedies[0].encode())
    assert list(NOT_ENFORCED.find(examined)) == []
