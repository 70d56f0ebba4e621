"""Foreign keys keep rows, or also delete them, or need an index; no row on hold is deleted."""

from collections.abc import Callable

import pytest
from psycopg import sql as compose

from ops_pipeline.holds import holds
from ops_pipeline.maintenance import references
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.plan import Planning
from ops_pipeline.maintenance.reach import reach
from ops_pipeline.maintenance.retention.plan import plan_retention
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import Relation
from tests.named import named

PARENTS = "CREATE TABLE parents (id int PRIMARY KEY); INSERT INTO parents SELECT generate_series(1, 6);"


def free(connection: Connection, table: str = "parents") -> list[int]:
    """Deletes the rows that no reference keeps, and returns their ids."""
    condition = references.unreferenced(connection, named(connection, table))
    statement = compose.SQL("DELETE FROM {} AS target WHERE {} RETURNING id").format(
        compose.Identifier(table), condition
    )
    return sorted(each for (each,) in connection.execute(statement))


def reached(connection: Connection, table: Relation) -> list[str]:
    return list(map(str, reach(connection, table).cascaded))


def children(action: str, name: str = "children", parent: str = "parents") -> str:
    return (
        f"CREATE TABLE {name} (id int PRIMARY KEY, parent_id int REFERENCES {parent} ON DELETE {action});"
        f"CREATE INDEX ON {name} (parent_id);"
    )


@pytest.fixture
def every_table_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a referring table need an index, however few rows it has."""
    monkeypatch.setattr(references, "SMALL_CHILD_BYTES", -1)


@pytest.mark.parametrize("action", ["NO ACTION", "RESTRICT"])
def test_a_row_that_others_refer_to_is_kept(connection: Connection, action: str) -> None:
    connection.execute(PARENTS + children(action))
    connection.execute("INSERT INTO children VALUES (1, 2), (2, NULL), (3, 5)")

    assert free(connection) == [1, 3, 4, 6]


def test_rows_that_a_cascade_deletes_are_deleted(connection: Connection) -> None:
    connection.execute(PARENTS + children("CASCADE") + children("SET NULL", "others"))
    connection.execute("INSERT INTO children VALUES (1, 2); INSERT INTO others VALUES (1, 2)")

    assert reached(connection, named(connection, "parents")) == ["public.children"]
    assert free(connection) == [1, 2, 3, 4, 5, 6]
    assert scalar(connection, "SELECT count(*) FROM children") == 0


def test_a_row_on_hold_keeps_the_rows_whose_delete_would_cascade_to_it(connection: Connection) -> None:
    connection.execute(
        PARENTS + children("CASCADE") + children("CASCADE", "grandchildren", "children")
        + children("SET NULL", "others")
    )  # fmt: skip
    connection.execute(
        "INSERT INTO children SELECT n, n FROM generate_series(1, 5) AS n;"
        "INSERT INTO grandchildren VALUES (1, 1), (2, 2); INSERT INTO others VALUES (1, 3), (2, 6)"
    )
    for table, where in {"children": "id = 4", "grandchildren": "id = 2", "others": "id = 1"}.items():
        holds.add(connection, table, where, reason="x", owner="y", by="z")

    assert free(connection) == [1, 5, 6], (
        "2 has a held grandchild, 4 a held child, 3 would be forgotten by a held row"
    )
    assert scalar(connection, "SELECT parent_id FROM others WHERE id = 1") == 3


def test_a_kept_grandchild_keeps_its_parent_and_grandparent(connection: Connection) -> None:
    connection.execute(PARENTS + children("CASCADE") + children("RESTRICT", "grandchildren", "children"))
    connection.execute("INSERT INTO children VALUES (1, 1), (2, 2); INSERT INTO grandchildren VALUES (1, 2)")

    assert free(connection) == [1, 3, 4, 5, 6]


def test_a_self_reference_is_deleted_from_the_leaves_up(connection: Connection) -> None:
    connection.execute(
        "CREATE TABLE parents (id int PRIMARY KEY, up int REFERENCES parents); CREATE INDEX ON parents (up);"
        "INSERT INTO parents VALUES (1, NULL), (2, 1), (3, 2), (4, 4)"
    )

    assert free(connection) == [3, 4], "only 4 refers to 4"
    assert free(connection) == [2]
    assert free(connection) == [1]


@pytest.mark.usefixtures("every_table_is_large")
def test_a_cycle_of_cascades_ends(connection: Connection) -> None:
    connection.execute(
        "CREATE TABLE parents (id int PRIMARY KEY, other int); CREATE TABLE b (id int PRIMARY KEY, up int);"
        "INSERT INTO parents VALUES (1, 1), (2, NULL); INSERT INTO b VALUES (1, 1);"
        "ALTER TABLE b ADD FOREIGN KEY (up) REFERENCES parents ON DELETE CASCADE;"
        "ALTER TABLE parents ADD FOREIGN KEY (other) REFERENCES b ON DELETE CASCADE;"
    )
    relation = named(connection, "parents")

    assert reached(connection, relation) == ["public.b"]
    assert len(references.missing_indexes(connection, relation)) == 2
    holds.add(connection, "b", "id = 1", reason="x", owner="y", by="z")
    assert free(connection) == [2]


def test_a_foreign_key_to_a_table_counts_for_its_partitions(connection: Connection) -> None:
    connection.execute(
        "CREATE TABLE parents (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE low PARTITION OF parents FOR VALUES FROM (0) TO (3);"
        "CREATE TABLE high PARTITION OF parents FOR VALUES FROM (3) TO (9);"
        "INSERT INTO parents SELECT generate_series(1, 6);"
    )
    connection.execute(children("NO ACTION"))
    connection.execute(
        "CREATE TABLE leaves (id int PRIMARY KEY, up int REFERENCES high); CREATE INDEX ON leaves (up);"
        "INSERT INTO children VALUES (1, 2), (2, 4); INSERT INTO leaves VALUES (1, 5)"
    )

    assert free(connection, "low") == [1]
    assert free(connection) == [3, 6]


INDEXES = {
    "CREATE INDEX ON children (parent_id)": True,
    "CREATE INDEX ON children USING hash (parent_id)": True,
    "CREATE INDEX ON children (parent_id, id)": True,
    "CREATE INDEX ON children (parent_id) WHERE parent_id IS NOT NULL": True,
    "CREATE INDEX ON children (id, parent_id)": False,
    "CREATE INDEX ON children (parent_id) WHERE id > 3": False,
    "CREATE INDEX ON children (id) INCLUDE (parent_id)": False,
    "CREATE INDEX ON children (abs(parent_id))": False,
    "CREATE INDEX ON children USING brin (parent_id)": False,
}


def test_a_small_referring_table_needs_no_index(connection: Connection) -> None:
    connection.execute(PARENTS + "CREATE TABLE children (parent_id int REFERENCES parents)")
    relation = named(connection, "parents")
    assert references.missing_indexes(connection, relation) == ()

    connection.execute("INSERT INTO children SELECT NULL FROM generate_series(1, 10000)")

    assert len(references.missing_indexes(connection, relation)) == 1


@pytest.mark.usefixtures("every_table_is_large")
def test_a_missing_index_is_named_with_the_statement_that_creates_it(connection: Connection) -> None:
    connection.execute(
        PARENTS
        + "CREATE TABLE children (id int, parent_id int CONSTRAINT fk REFERENCES parents ON DELETE SET NULL)"
    )
    relation = named(connection, "parents")

    (problem,) = references.missing_indexes(connection, relation)

    assert problem == (
        "public.children.parent_id refers to public.parents (fk) without an index, so each deleted row "
        "would cost a scan of public.children. Create the index first: "
        "CREATE INDEX CONCURRENTLY ON public.children (parent_id)"
    )
    for statement, enough in INDEXES.items():
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
            assert (references.missing_indexes(connection, relation) == ()) == enough, statement
    connection.execute(problem.split("first: ")[1])
    assert references.missing_indexes(connection, relation) == ()


@pytest.mark.usefixtures("every_table_is_large")
def test_a_key_of_several_columns_and_a_partitioned_child(connection: Connection) -> None:
    connection.execute(
        "CREATE TABLE parents (id int, part int, PRIMARY KEY (id, part));"
        "INSERT INTO parents VALUES (1, 1), (1, 2);"
        "CREATE TABLE children (a int, b int, FOREIGN KEY (b, a) REFERENCES parents) PARTITION BY RANGE (a);"
        "CREATE TABLE c1 PARTITION OF children FOR VALUES FROM (1) TO (2);"
        "CREATE TABLE c2 PARTITION OF children FOR VALUES FROM (2) TO (3);"
        "INSERT INTO children VALUES (2, 1)"
    )
    relation = named(connection, "parents")
    assert len(references.missing_indexes(connection, relation)) == 1
    connection.execute("CREATE INDEX ON c1 (a, b)")
    (problem,) = references.missing_indexes(connection, relation)
    assert problem.endswith("CREATE INDEX ON public.children (b, a)")
    connection.execute("CREATE INDEX ON c2 (b, a)")
    assert references.missing_indexes(connection, relation) == (), "an index on each partition is as good"

    connection.execute("SET lock_timeout = '1s'")
    condition = references.unreferenced(connection, relation)
    rows = connection.execute(
        compose.SQL("DELETE FROM parents AS target WHERE {} RETURNING part").format(condition)
    )
    assert rows.fetchall() == [(1,)]


@pytest.mark.usefixtures("every_table_is_large")
def test_retention_is_refused_without_the_index_and_keeps_referred_rows_with_it(
    application: Connection, retention: Retention, read: Callable[..., Database]
) -> None:
    application.execute("CREATE TABLE tickets (session_id uuid REFERENCES sessions)")
    application.execute("INSERT INTO tickets SELECT id FROM sessions ORDER BY created_at LIMIT 10")
    assert len(plan_retention(Planning(application, 10), retention).refusals) == 1

    with pytest.raises(Exception, match="CREATE INDEX CONCURRENTLY"):
        carry_out(application, retention)
    assert scalar(application, "SELECT count(*) FROM sessions") == 6000

    application.execute("CREATE INDEX ON tickets (session_id)")
    plan = plan_retention(Planning(application, 10), retention)
    assert (plan.rows.eligible, plan.rows.referenced) == (2990, 10)
    assert carry_out(application, retention).removed == 2990
    assert scalar(application, "SELECT count(*) FROM tickets JOIN sessions ON id = session_id") == 10
