"""A chain of rows that ON DELETE CASCADE would delete to its end is refused, whatever `cascade` says."""

from collections.abc import Callable

import pytest

from ops_pipeline.holds import holds
from ops_pipeline.maintenance.circled_holds import HoldAddedError
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.maintenance.result import RefusedError
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, connect, scalar

Read = Callable[..., Database]
RULE = """
version: 1
databases:
  app:
    url: x
    guard: {{max_fraction: 1.0}}
    retention: [{{table: chain, column: created_at, keep: 30 days{cascade}}}]
"""
CHAIN = """
CREATE TABLE chain (
  id int PRIMARY KEY, up int REFERENCES chain ON DELETE CASCADE, created_at timestamptz NOT NULL
);
CREATE INDEX ON chain (up);
INSERT INTO chain
SELECT n, nullif(n - 1, 0), now() - make_interval(days => CASE WHEN n <= {expired} THEN 60 ELSE 0 END)
FROM generate_series(1, 200) AS n;
"""
CYCLE = """
CREATE TABLE chain (id int PRIMARY KEY, up int, created_at timestamptz NOT NULL);
CREATE TABLE links (id int PRIMARY KEY, up int REFERENCES chain ON DELETE CASCADE);
ALTER TABLE chain ADD FOREIGN KEY (up) REFERENCES links ON DELETE CASCADE;
CREATE INDEX ON chain (up); CREATE INDEX ON links (up);
INSERT INTO chain SELECT n, NULL, now() - make_interval(days => CASE WHEN n = 1 THEN 60 ELSE 0 END)
FROM generate_series(1, 200) AS n;
INSERT INTO links SELECT n, n FROM generate_series(1, 200) AS n;
UPDATE chain SET up = nullif(id - 1, 0);
"""
ALLOWED = pytest.mark.parametrize("cascade", ["", ", cascade: delete"])
ROWS = "SELECT count(*) FROM chain"


@ALLOWED
@pytest.mark.parametrize("schema", [CHAIN.format(expired=1), CHAIN.format(expired=50), CYCLE])
def test_a_chain_that_ends_in_rows_that_are_kept_is_refused(
    connection: Connection, read: Read, schema: str, cascade: str
) -> None:
    connection.execute(schema)
    (policy,) = read(RULE.format(cascade=cascade)).policies

    (planned,) = plan(connection, [policy])
    with pytest.raises(RefusedError, match=r"1 row of public\.chain that this policy keeps"):
        carry_out(connection, policy)

    assert isinstance(planned, DeletePlan)
    assert len(planned.refusals) == 1
    assert scalar(connection, ROWS) == 200


@ALLOWED
def test_a_chain_of_expired_rows_is_deleted_and_counted(
    connection: Connection, read: Read, cascade: str
) -> None:
    connection.execute(CHAIN.format(expired=200))
    (policy,) = read(RULE.format(cascade=cascade)).policies

    (planned,) = plan(connection, [policy])
    result = carry_out(connection, policy)

    assert isinstance(planned, DeletePlan)
    assert planned.rows.eligible == 200
    assert (result.outcome, scalar(connection, ROWS)) == ("done", 0)


@ALLOWED
def test_a_hold_at_the_end_of_an_expired_chain_keeps_all_of_it(
    connection: Connection, read: Read, cascade: str
) -> None:
    connection.execute(CHAIN.format(expired=200))
    holds.add(connection, "chain", "id = 200", reason="case", owner="legal", by="me")
    (policy,) = read(RULE.format(cascade=cascade)).policies

    with pytest.raises(RefusedError, match=r"1 row of public\.chain that this policy keeps"):
        carry_out(connection, policy)

    assert scalar(connection, ROWS) == 200


@pytest.mark.parametrize("schema", [CHAIN.format(expired=200), CYCLE.replace("n = 1 ", "n > 0 ")])
@pytest.mark.parametrize("held", ["chain", "note"])
def test_a_hold_that_is_added_during_the_run_keeps_the_end_of_a_chain(
    connection: Connection, read: Read, url: str, schema: str, held: str
) -> None:
    connection.execute(schema)
    connection.execute("CREATE TABLE note (id int PRIMARY KEY REFERENCES chain ON DELETE CASCADE)")
    connection.execute("INSERT INTO note VALUES (200)")
    (policy,) = read(RULE.format(cascade=", cascade: delete")).policies

    def add_hold() -> None:
        with connect(url, "lawyer") as lawyer:
            holds.add(lawyer, held, "id = 200", reason="case", owner="legal", by="me")

    with pytest.raises(HoldAddedError, match=f"hold 1 on public.{held} was added or confirmed"):
        carry_out(connection, policy, stop=add_hold)
    with pytest.raises(RefusedError):
        carry_out(connection, policy)

    assert scalar(connection, "SELECT count(*) FROM note") == 1
    assert scalar(connection, ROWS) == 200


def test_a_hold_that_the_plan_knew_stops_no_run(connection: Connection, read: Read) -> None:
    connection.execute(CHAIN.format(expired=200))
    connection.execute("INSERT INTO chain VALUES (1000, NULL, now() - interval '60 days')")
    holds.add(connection, "chain", "id = 1000", reason="case", owner="legal", by="me")
    (policy,) = read(RULE.format(cascade="")).policies

    result = carry_out(connection, policy)

    assert (result.outcome, scalar(connection, ROWS)) == ("done", 1)
