"""A policy whose deletes cascade to rows that another policy keeps, or to too many, is refused."""

from collections.abc import Callable

import pytest
from psycopg import sql as compose

from ops_pipeline.holds import holds
from ops_pipeline.maintenance.guard import guard
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.maintenance.result import RefusedError
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, scalar

Read = Callable[[str], Database]

ACCOUNTS = """
CREATE TABLE accounts (id int PRIMARY KEY, created_at timestamptz NOT NULL);
INSERT INTO accounts SELECT n, now() - CASE WHEN n <= 100 THEN '40 days'::interval ELSE '1 day' END
FROM generate_series(1, 300) AS n;
"""


def referring(table: str, column: str, to: str, action: str = "CASCADE", more: str = "") -> str:
    return (
        f"CREATE TABLE {table} (id int PRIMARY KEY, {column} int REFERENCES {to} ON DELETE {action}, "
        f"created_at timestamptz NOT NULL DEFAULT now(){more}); CREATE INDEX ON {table} ({column});"
    )


INVOICES = "".join(
    [
        referring("invoices", "account_id", "accounts"),
        "INSERT INTO invoices SELECT n, 1 + n % 300 FROM generate_series(0, 2999) AS n;",
    ]
)
RULES = """
version: 1
databases:
  app:
    url: x
    retention:
      - {{table: accounts, column: created_at, keep: 30 days{accounts}}}
{others}
"""
KEPT = "      - {table: invoices, column: created_at, keep: 3650 days, archive: true}"


def of_policies(read: Read, others: str = "", accounts: str = "") -> Database:
    return read(RULES.format(accounts=accounts, others=others))


def refused(connection: Connection, database: Database, number: int = 0) -> str:
    """Why the policy is refused; plan and run must say the same."""
    (planned,) = plan(connection, [database.policies[number]])
    assert isinstance(planned, DeletePlan), planned
    with pytest.raises(RefusedError) as error:
        carry_out(connection, database.policies[number])
    assert planned.refusals
    assert all(problem in str(error.value) for problem in planned.refusals)
    assert "nothing was deleted" in str(error.value)
    return str(error.value)


def removed(connection: Connection, database: Database, number: int = 0) -> int:
    """The number of rows that the policy deletes; the plan must not refuse it."""
    (planned,) = plan(connection, [database.policies[number]])
    assert isinstance(planned, DeletePlan), planned
    assert planned.refusals == ()
    return carry_out(connection, database.policies[number]).removed


def needs_approval(connection: Connection, database: Database, number: int = 0) -> str:
    """Why the policy needs approval; plan and run must say the same."""
    (planned,) = plan(connection, [database.policies[number]])
    assert isinstance(planned, DeletePlan), planned
    assert planned.refusals == ()
    result = carry_out(connection, database.policies[number])
    assert (result.outcome, result.removed) == ("needs_approval", 0)
    assert all(reason in result.stopped_reason for reason in planned.needs_approval)
    return result.stopped_reason


def given(connection: Connection, *statements: str) -> None:
    for statement in statements:
        connection.execute(statement.encode())


def count(connection: Connection, table: str) -> int:
    return int(scalar(connection, compose.SQL("SELECT count(*) FROM {}").format(compose.Identifier(table))))


def test_rows_of_a_table_with_a_policy_of_its_own_are_not_deleted_by_cascade(
    connection: Connection, read: Read
) -> None:
    given(connection, ACCOUNTS, INVOICES)

    said = refused(connection, of_policies(read, KEPT))

    for part in (
        "100 rows of public.accounts",
        "1,000 rows of public.invoices",
        "invoices_account_id_fkey",
        "app/retention/invoices",
        "ALTER TABLE public.invoices DROP CONSTRAINT invoices_account_id_fkey, "
        "ADD CONSTRAINT invoices_account_id_fkey FOREIGN KEY (account_id) REFERENCES accounts(id)",
    ):
        assert part in said
    assert (count(connection, "accounts"), count(connection, "invoices")) == (300, 3000)
    connection.execute(said[said.index("ALTER TABLE") :].split(";")[0].encode())
    assert removed(connection, of_policies(read, KEPT)) == 0, "an account is kept as long as it has invoices"
    connection.execute("DELETE FROM invoices WHERE account_id <= 50")
    assert removed(connection, of_policies(read, KEPT)) == 50


def test_a_policy_that_deletes_no_row_along_is_not_refused(connection: Connection, read: Read) -> None:
    given(connection, ACCOUNTS, INVOICES, "DELETE FROM invoices WHERE account_id <= 100")

    assert removed(connection, of_policies(read, KEPT)) == 100
    assert count(connection, "invoices") == 2000


@pytest.mark.parametrize("action", ["SET NULL", "SET DEFAULT"])
def test_a_reference_that_is_cleared_is_no_deletion(connection: Connection, read: Read, action: str) -> None:
    given(connection, ACCOUNTS, INVOICES.replace("CASCADE", action))

    assert removed(connection, of_policies(read, KEPT)) == 100
    assert count(connection, "invoices") == 3000


def test_a_cascade_over_several_tables_and_partitions_is_followed(connection: Connection, read: Read) -> None:
    given(
        connection,
        ACCOUNTS,
        referring("projects", "account_id", "accounts"),
        "CREATE TABLE documents (id int, project_id int REFERENCES projects ON DELETE CASCADE,"
        " created_at timestamptz NOT NULL DEFAULT now()) PARTITION BY RANGE (id);"
        "CREATE INDEX ON documents (project_id);"
        "CREATE TABLE documents_1 PARTITION OF documents FOR VALUES FROM (0) TO (50);"
        "CREATE TABLE documents_2 PARTITION OF documents DEFAULT;"
        "INSERT INTO projects SELECT n, n FROM generate_series(90, 130) AS n;"
        "INSERT INTO documents SELECT n, n FROM generate_series(90, 130) AS n",
    )
    own = "      - {table: documents, column: created_at, keep: 3650 days}"

    said = refused(connection, of_policies(read, own))

    assert "11 rows of public.documents" in said
    assert "projects_account_id_fkey, then documents_project_id_fkey" in said
    connection.execute("DELETE FROM documents WHERE id <= 100")
    assert removed(connection, of_policies(read, own)) == 100


def test_a_key_of_one_partition_reaches_the_policy_of_the_whole_table(
    connection: Connection, read: Read
) -> None:
    given(
        connection,
        ACCOUNTS,
        "CREATE TABLE invoices (id int, account_id int, created_at timestamptz NOT NULL)"
        " PARTITION BY RANGE (id);"
        "CREATE TABLE invoices_1 PARTITION OF invoices FOR VALUES FROM (0) TO (50);"
        "CREATE TABLE invoices_2 PARTITION OF invoices DEFAULT;"
        "ALTER TABLE invoices_1 ADD FOREIGN KEY (account_id) REFERENCES accounts ON DELETE CASCADE;"
        "CREATE INDEX ON invoices_1 (account_id);"
        "INSERT INTO invoices SELECT n, n, now() FROM generate_series(1, 100) AS n",
    )

    said = refused(connection, of_policies(read, KEPT))

    assert "49 rows of public.invoices_1" in said
    assert "app/retention/invoices" in said


def test_an_orphans_policy_whose_deletes_cascade_is_refused_too(connection: Connection, read: Read) -> None:
    given(
        connection,
        ACCOUNTS,
        "CREATE TABLE carts (id int PRIMARY KEY, account_id int);"
        "INSERT INTO carts SELECT n, 1000 + n FROM generate_series(1, 40) AS n;"
        "INSERT INTO carts SELECT 1000 + n, n FROM generate_series(1, 300) AS n;",
        referring("items", "cart_id", "carts"),
        "INSERT INTO items SELECT n, 1 + n % 40 FROM generate_series(1, 80) AS n;",
    )
    carts = (
        "    orphans:\n      - {table: carts, column: account_id, references: accounts.id, "
        "grace_period: 0 seconds"
    )
    items = "}\n      - {table: items, column: id, references: accounts.id, archive: true}"

    said = refused(connection, of_policies(read, carts + items), number=1)

    assert "40 rows of public.carts" in said
    assert "80 rows of public.items" in said
    assert "app/orphans/items" in said
    assert count(connection, "carts") == 340
    alone = of_policies(read, carts + ", guard: {max_fraction: 0.9}}")
    assert "80 rows of public.items are also deleted" in needs_approval(connection, alone, number=1)
    archived = of_policies(read, carts + ", archive: true}")
    assert "missing from this policy's archive" in refused(connection, archived, number=1)
    connection.execute("INSERT INTO items SELECT n, 1001 FROM generate_series(1000, 1999) AS n")
    assert removed(connection, alone, number=1) == 40
    assert count(connection, "items") == 1000


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ("max_fraction: 0.3333", "1,000 rows of public.invoices are also deleted"),
        ("max_rows: 1099", "1,000 rows of other tables"),
        ("max_rows: 1100", None),
        ("max_fraction: 0.34", None),
    ],
)
def test_the_guard_counts_what_is_deleted_by_cascade(
    connection: Connection, read: Read, limits: str, said: str | None
) -> None:
    given(connection, ACCOUNTS, INVOICES)
    database = of_policies(read, accounts=f", guard: {{{limits}}}")

    if said is None:
        assert removed(connection, database) == 100
        assert count(connection, "invoices") == 2000
        return
    message = needs_approval(connection, database)
    assert said in message
    assert limits.partition(":")[0] in message
    assert count(connection, "accounts") == 300


def test_two_cascades_into_one_table_count_its_rows_once(connection: Connection, read: Read) -> None:
    given(
        connection,
        ACCOUNTS,
        referring("projects", "account_id", "accounts"),
        referring("teams", "account_id", "accounts"),
        referring("seats", "project_id", "projects", more=", team_id int REFERENCES teams ON DELETE CASCADE"),
        "CREATE INDEX ON seats (team_id);"
        "INSERT INTO projects SELECT n, n FROM generate_series(1, 300) AS n;"
        "INSERT INTO teams SELECT n, n FROM generate_series(1, 300) AS n;"
        "INSERT INTO seats (id, project_id, team_id) SELECT n, n, n FROM generate_series(1, 300) AS n",
    )

    assert "max_rows" in needs_approval(connection, of_policies(read, accounts=", guard: {max_rows: 399}"))
    assert removed(connection, of_policies(read, accounts=", guard: {max_rows: 400}")) == 100
    assert [count(connection, each) for each in ("projects", "teams", "seats")] == [200] * 3


def test_a_self_reference_that_would_delete_kept_rows_is_refused(connection: Connection, read: Read) -> None:
    given(
        connection,
        ACCOUNTS,
        "ALTER TABLE accounts ADD up int REFERENCES accounts ON DELETE CASCADE;"
        "CREATE INDEX ON accounts (up); UPDATE accounts SET up = 1 WHERE id IN (2, 3)",
    )
    assert removed(connection, of_policies(read)) == 100, "all that hangs on an expired row is expired"
    connection.execute(
        "INSERT INTO accounts SELECT n, now() - interval '40 days' FROM generate_series(1, 100) AS n;"
        "UPDATE accounts SET up = 1 WHERE id IN (101, 102)"
    )

    said = refused(connection, of_policies(read))

    assert "2 rows of public.accounts that this policy keeps" in said
    assert "accounts_up_fkey" in said


def test_a_cycle_of_cascades_that_reaches_further_rows_is_refused(connection: Connection, read: Read) -> None:
    given(
        connection,
        ACCOUNTS,
        referring(
            "comments", "account_id", "accounts", more=", up int REFERENCES comments ON DELETE CASCADE"
        ),
        "CREATE INDEX ON comments (up);"
        "INSERT INTO comments (id, account_id, up)"
        " SELECT n, n, nullif(n, 10) - 1 FROM generate_series(10, 60) AS n;"
        "INSERT INTO comments (id, account_id) SELECT n, n FROM generate_series(200, 300) AS n",
    )
    database = of_policies(read)
    planned = next(iter(plan(connection, database.policies)))
    assert isinstance(planned, DeletePlan)
    assert planned.refusals == (), "each answer has the account of its comment"
    connection.execute("INSERT INTO comments (id, account_id, up) VALUES (1, 200, 60)")

    said = refused(connection, database)

    assert "1 row of public.comments" in said
    assert "comments_up_fkey" in said
    assert count(connection, "comments") == 153


def test_an_archiving_policy_that_would_delete_rows_cascaded_unarchived_is_refused(
    connection: Connection, read: Read
) -> None:
    given(connection, ACCOUNTS, INVOICES)

    said = refused(connection, of_policies(read, accounts=", archive: true"))

    assert "1,000 rows of public.invoices" in said
    assert "they would be missing from this policy's archive" in said
    assert "`cascade: archive` or `cascade: delete`" in said


def test_a_row_on_hold_deletes_no_row_along(connection: Connection, read: Read) -> None:
    given(connection, ACCOUNTS, INVOICES, "DELETE FROM invoices WHERE account_id NOT IN (7, 200)")
    assert "10 rows of public.invoices" in refused(connection, of_policies(read, KEPT))
    holds.add(connection, "accounts", "id = 7", reason="x", owner="y", by="z")

    assert removed(connection, of_policies(read, KEPT)) == 99


def test_other_policies_are_not_part_of_an_approval(connection: Connection, read: Read) -> None:
    alone, beside = of_policies(read).policies[0], of_policies(read, KEPT).policies[0]

    assert isinstance(alone, Retention)
    assert isinstance(beside, Retention)
    assert guard.definition(alone) == guard.definition(beside)
