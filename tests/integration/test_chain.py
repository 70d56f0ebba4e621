"""Policies in a chain, each orphaning what the next deletes, share one plan and one approval."""

from collections.abc import Callable

import pytest

from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.orphans.plan import OrphansPlan
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, scalar

Read = Callable[[str], Database]

SCHEMA = """
CREATE TABLE sessions (id int PRIMARY KEY, created_at timestamptz);
CREATE TABLE memories (id int PRIMARY KEY, session_id int);
CREATE INDEX ON memories (session_id);
CREATE TABLE traces (id int PRIMARY KEY, memory_id int);
CREATE INDEX ON traces (memory_id);
INSERT INTO sessions SELECT n, now() - make_interval(days => n % 60) FROM generate_series(0, 599) AS n;
INSERT INTO memories SELECT n, n % 700 FROM generate_series(0, 1399) AS n;
INSERT INTO traces SELECT n, n FROM generate_series(0, 1499) AS n;
"""
POLICIES = """
version: 1
databases:
  app:
    url: x
    guard: {max_fraction: 0.3}
    retention: [{table: sessions, column: created_at, keep: 30 days}]
    orphans:
      - {table: traces, column: memory_id, references: memories.id, grace_period: 0 seconds}
      - {table: memories, column: session_id, references: sessions.id, grace_period: 0 seconds}
"""


@pytest.fixture
def chain(connection: Connection) -> Connection:
    """300 of 600 sessions have expired; of 1,400 memories 200 have no session and 600 will have none; of
    1,500 traces 100 have no memory and 800 will have none."""
    connection.execute(SCHEMA)
    return connection


def test_the_plan_counts_what_the_same_run_will_orphan(chain: Connection, read: Read) -> None:
    _, memories, traces = plan(chain, read(POLICIES).policies)

    assert isinstance(memories, OrphansPlan)
    assert isinstance(traces, OrphansPlan)
    assert (memories.rows.eligible, memories.rows_deletable_later) == (800, 600)
    assert (traces.rows.eligible, traces.rows_deletable_later) == (900, 800)
    assert "200 orphans now, 600 more once app/retention/sessions has run" in list(memories.remarks())
    assert [bool(each.needs_approval) for each in (memories, traces)] == [True, True]


def test_one_approval_covers_the_chain(chain: Connection, read: Read) -> None:
    policies = read(POLICIES).policies
    first = [carry_out(chain, policy) for policy in policies]
    assert [result.outcome for result in first] == ["needs_approval", "done", "done"], "what is orphaned now"
    waiting = {stored.policy: stored for stored in approvals.pending(chain)}
    sessions = waiting["app/retention/sessions"]
    assert waiting["app/orphans/memories.session_id"].follows == sessions.id

    approvals.approve(chain, sessions.id, by="a person")
    assert [(each.policy, each.approved_by) for each in approvals.following(chain, sessions.id)] == [
        ("app/orphans/memories.session_id", "a person"),
        ("app/orphans/traces.memory_id", "a person"),
    ]
    second = [carry_out(chain, policy) for policy in policies]

    assert [(result.outcome, result.removed) for result in second] == [
        ("done", 300), ("done", 600), ("done", 600),
    ]  # fmt: skip
    assert approvals.pending(chain) == []
    assert scalar(chain, "SELECT count(*) FROM ops.plans WHERE used_at IS NULL") == 0


def test_an_approval_of_the_chain_covers_only_the_planned_number_of_orphans(
    chain: Connection, read: Read
) -> None:
    policies = read(POLICIES).policies
    stopped = carry_out(chain, policies[0])
    approvals.approve(chain, stopped.details["plan"], by="a person")
    chain.execute("INSERT INTO memories SELECT 5000 + n, 59 FROM generate_series(1, 20) AS n")

    carry_out(chain, policies[0])
    result = carry_out(chain, policies[1])

    assert result.outcome == "needs_approval"
    assert "was approved for 800 rows, but would now delete 820" in result.stopped_reason
