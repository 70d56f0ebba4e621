"""Rows that another policy of the same run stops referring to are planned and deleted in that run."""

from collections.abc import Callable, Sequence

import pytest

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.kinds import carry_out, children_first, plan
from ops_pipeline.maintenance.orphans.plan import OrphansPlan
from ops_pipeline.maintenance.retention.plan import RetentionPlan
from ops_pipeline.policies.model import Database, Policy
from ops_pipeline.postgres.connection import Connection

Read = Callable[[str], Database]

# Of 1,000 tokens 900 have expired: expired requests refer to 600, newer requests to 100, none to 200.
SCHEMA = """
CREATE TABLE tokens (id int PRIMARY KEY, at timestamptz NOT NULL, owner int);
CREATE INDEX ON tokens (owner);
CREATE TABLE requests (
  id int PRIMARY KEY, token int REFERENCES tokens ON DELETE {action}, at timestamptz NOT NULL
);
CREATE INDEX ON requests (token);
CREATE TABLE owners (id int PRIMARY KEY);
INSERT INTO tokens SELECT n, now() - CASE WHEN n <= 900 THEN '90 days' ELSE '1 day' END::interval, n
FROM generate_series(1, 1000) AS n;
INSERT INTO requests SELECT n, n, now() - CASE WHEN n <= 600 THEN '90 days' ELSE '1 day' END::interval
FROM generate_series(1, 700) AS n;
"""
HEAD = "version: 1\ndatabases:\n  app:\n    url: x\n    guard: {max_fraction: 1}\n"
TOKENS = "{table: tokens, column: at, keep: 30 days, guard: {max_rows: 700}}"
REQUESTS = "{table: requests, column: at, keep: 30 days}"


@pytest.mark.parametrize("action", ["NO ACTION", "RESTRICT"])
@pytest.mark.parametrize("entries", [[REQUESTS, TOKENS], [TOKENS, REQUESTS]])
def test_rows_that_only_expired_rows_refer_to_are_deleted_in_the_same_run(
    connection: Connection, read: Read, action: str, entries: list[str]
) -> None:
    connection.execute(SCHEMA.format(action=action).encode())
    database = read(f"{HEAD}    retention: [{', '.join(entries)}]\n")
    policies = children_first(connection, database.policies)

    requests, tokens = plan(connection, database.policies)

    assert isinstance(requests, RetentionPlan)
    assert isinstance(tokens, RetentionPlan)
    assert (requests.policy, requests.rows.eligible) == ("app/retention/requests", 600)
    assert (tokens.rows.eligible, tokens.rows.referenced, tokens.rows_deletable_later) == (800, 100, 600)
    assert "600 of the rows can only be deleted once app/retention/requests has run" in list(tokens.remarks())
    assert tokens.needs_approval, "the guard is asked about all of them"
    (alone,) = plan(connection, [policy for policy in policies if policy.name == "app/retention/tokens"])
    assert isinstance(alone, RetentionPlan)
    assert (alone.rows.eligible, alone.rows_deletable_later, alone.needs_approval) == (200, 0, ())
    unguarded = read(f"{HEAD}    retention: [{', '.join(entries)}]\n".replace(", guard: {max_rows: 700}", ""))
    runs = [carry_out(connection, policy) for policy in children_first(connection, unguarded.policies)]
    assert [(run.outcome, run.removed) for run in runs] == [("done", 600), ("done", 800)]


def test_orphans_that_only_expired_rows_refer_to_are_deleted_in_the_same_run(
    connection: Connection, read: Read
) -> None:
    connection.execute(SCHEMA.format(action="NO ACTION").encode())
    database = read(
        f"{HEAD}    retention: [{REQUESTS}]\n"
        "    orphans: [{table: tokens, column: owner, references: owners.id, grace_period: 0 seconds}]\n"
    )

    _, tokens = plan(connection, database.policies)

    assert isinstance(tokens, OrphansPlan)
    assert (tokens.rows.eligible, tokens.rows_deletable_later) == (900, 600)
    assert "300 orphans now, 600 more once app/retention/requests has run" in list(tokens.remarks())
    assert [carry_out(connection, policy).removed for policy in database.policies] == [600, 900]


def test_two_tables_that_refer_to_each_other_have_a_fixed_order(connection: Connection, read: Read) -> None:
    connection.execute(SCHEMA.format(action="NO ACTION").encode())
    connection.execute(
        "ALTER TABLE tokens ADD request int REFERENCES requests; CREATE INDEX ON tokens (request)"
    )
    database = read(f"{HEAD}    retention: [{TOKENS}, {REQUESTS}]\n")

    assert [policy.name for policy in children_first(connection, database.policies)] == [
        "app/retention/requests",
        "app/retention/tokens",
    ]


def test_rows_kept_by_a_refused_policys_rows_are_not_planned(connection: Connection, read: Read) -> None:
    connection.execute(SCHEMA.format(action="NO ACTION").encode())
    archiving = REQUESTS.replace("30 days", "30 days, archive: true")
    database = read(f"{HEAD}    retention: [{archiving}, {TOKENS}]\n")

    requests, tokens = plan(connection, database.policies, archive_url=None)

    assert isinstance(requests, RetentionPlan)
    assert isinstance(tokens, RetentionPlan)
    assert requests.refusals
    assert (tokens.rows.eligible, tokens.rows_deletable_later) == (200, 0)


def test_many_tables_that_refer_to_each_other_are_put_in_order_at_once(
    connection: Connection, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = 14
    for table in range(number):
        keys = "".join(f", r{to} int REFERENCES t{to}" for to in range(max(0, table - 2), table))
        connection.execute(f"CREATE TABLE t{table} (id int PRIMARY KEY, at timestamptz{keys})".encode())
    entries = ", ".join(f"{{table: t{table}, column: at, keep: 1 day}}" for table in range(number))
    database = read(f"{HEAD}    retention: [{entries}]\n")
    asked: list[str] = []
    original = kinds.children

    def children(connection: Connection, policy: Policy, policies: Sequence[Policy]) -> Sequence[Policy]:
        asked.append(policy.name)
        return original(connection, policy, policies)

    monkeypatch.setattr(kinds, "children", children)

    order = [policy.name for policy in kinds.children_first(connection, database.policies)]

    assert order == [f"app/retention/t{table}" for table in reversed(range(number))]
    assert len(asked) == number, "each once"
