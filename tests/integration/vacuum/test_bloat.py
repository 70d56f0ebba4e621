"""Bloat is estimated from statistics closely enough, and measured where pgstattuple is installed."""

from collections.abc import Callable
from typing import LiteralString

import pytest
from psycopg import sql as compose

from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.plan import Planning
from ops_pipeline.maintenance.vacuum import bloat, tables
from ops_pipeline.maintenance.vacuum.plan import plan_vacuum
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.postgres.connection import Connection, scalar

ROWS = 20_000
FILL = """
CREATE TABLE {table} ({columns}) WITH (autovacuum_enabled = false, fillfactor = {fillfactor});
INSERT INTO {table} SELECT {values} FROM generate_series(1, {rows}) n
"""
SHAPES: dict[str, tuple[LiteralString, LiteralString]] = {
    "numbers": ("id int, flag bool, total bigint", "n, n % 2 = 0, n"),
    "texts": ("id bigint, at timestamptz, note text", "n, now() - n * interval '1 s', repeat('x', n % 90)"),
    "nulls": (
        "a int, b int, c int, d int, e int, f int, g int, h int, i int, note text",
        "n, CASE n % 3 WHEN 0 THEN n END, n, n, n, NULL, n, n, n, CASE n % 2 WHEN 0 THEN md5(n::text) END",
    ),
    "wide": ("id uuid, payload text", "gen_random_uuid(), repeat(md5(n::text), 20 + n % 25)"),
    "others": ("id uuid, session uuid, content jsonb", "gen_random_uuid(), md5((n / 10)::text)::uuid, '{}'"),
}
INDEXES: dict[str, list[LiteralString]] = {
    "numbers": ["(id)", "(flag)", "((total % 100))", "(id) INCLUDE (flag)", "(id) WHERE id % 5 = 0"],
    "texts": ["(note)", "(at) WITH (fillfactor = 60)", "(id, note)"],
    "nulls": ["(b)", "(f)", "(note)"],
    "wide": ["(id)"],
    "others": ["(session)", "(session, id)"],
}


@pytest.fixture
def bloated(connection: Connection, request: pytest.FixtureRequest) -> Connection:
    """Tables of which scattered halves were deleted, then vacuumed."""
    fillfactor = getattr(request, "param", 100)
    for name, (columns, values) in SHAPES.items():
        statement = compose.SQL(FILL).format(
            table=compose.Identifier(name),
            columns=compose.SQL(columns),
            fillfactor=compose.Literal(fillfactor),
            values=compose.SQL(values),
            rows=compose.Literal(ROWS),
        )
        connection.execute(statement)
        for index in INDEXES[name]:
            connection.execute(
                compose.SQL("CREATE INDEX ON {} {}").format(compose.Identifier(name), compose.SQL(index))
            )
        halve = "DELETE FROM {} WHERE mod(hashtext(ctid::text), 2) = 0"
        connection.execute(compose.SQL(halve).format(compose.Identifier(name)))
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("VACUUM ANALYZE")
    return connection


def _found(connection: Connection) -> bloat.BloatReport:
    return bloat.find_bloat(connection, tables.find_tables(connection, None))


@pytest.mark.parametrize("bloated", [100, 70], indirect=True)
@pytest.mark.parametrize(("by", "off"), [("statistics", 0.12), ("pgstattuple", 0.1)])
def test_size_without_bloat_is_the_size_after_vacuum_full(
    bloated: Connection, by: bloat.BloatSource, off: float
) -> None:
    if by == "pgstattuple":
        bloated.execute("CREATE EXTENSION pgstattuple")
    found = _found(bloated)
    bloated.execute("VACUUM FULL")

    new: dict[int, int] = dict(bloated.execute("SELECT oid, pg_relation_size(oid) FROM pg_class").fetchall())
    of_indexes = {each.index.oid: each.bloat for each in found.btrees if each.bloat}
    told = {oid: each for oid, each in (found.tables | of_indexes).items() if new[oid] > 20 * 8192}
    assert len(told) >= 12
    wrong = {
        str(scalar(bloated, "SELECT %s::regclass::text", [oid])): (each, new[oid])
        for oid, each in told.items()
        if abs(each.size - each.wasted - new[oid]) > off * new[oid] + 2 * 8192 or each.by != by
    }
    assert wrong == {}


def test_a_newly_written_table_has_no_bloat(bloated: Connection) -> None:
    bloated.execute("VACUUM FULL")
    bloated.execute("VACUUM ANALYZE")

    found = _found(bloated)

    shares = {str(each.index): each.bloat.share for each in found.btrees if each.bloat}
    shares |= {str(oid): each.share for oid, each in found.tables.items()}
    assert {name: share for name, share in shares.items() if share > 0.1} == {}


def test_without_the_right_to_use_pgstattuple_it_is_estimated(bloated: Connection) -> None:
    bloated.execute("CREATE EXTENSION pgstattuple; SET ROLE pg_read_all_data")
    try:
        assert {each.by for each in _found(bloated).tables.values()} == {"statistics"}
    finally:
        bloated.execute("RESET ROLE")


def test_bloat_of_a_table_without_statistics_is_not_estimated(connection: Connection) -> None:
    connection.execute("CREATE TABLE new (note text) WITH (autovacuum_enabled = false)")
    connection.execute("INSERT INTO new SELECT repeat('x', 100) FROM generate_series(1, 10000)")

    assert _found(connection).tables == {}


def test_the_plan_shows_bloat_and_the_run_shows_it_before_and_after(
    application: Connection, everything: Vacuum
) -> None:
    application.execute("SELECT pg_stat_force_next_flush()")
    application.execute("ANALYZE")
    application.execute("DELETE FROM sessions WHERE created_at < now() - interval '30 days'")
    application.execute("SELECT pg_stat_force_next_flush()")

    planned = plan_vacuum(Planning(application, 5), everything)
    result = carry_out(application, everything)

    (sessions,) = [each for each in planned.planned_tables if each.table == "public.sessions"]
    assert sessions.bloat is not None
    assert sessions.index_bloat is not None
    assert (sessions.bloat.by, 0.4 < sessions.bloat.share < 0.6) == ("statistics", True)
    (gain,) = [each for each in result.details["tables"] if each["table"] == "public.sessions"]
    assert gain["bloat_before"] == sessions.bloat.wasted
    assert gain["bloat_after"] == pytest.approx(gain["bloat_before"], rel=0.1), "room for new rows, no less"
    assert gain["index_bloat_before"] >= 0
    assert gain["bloat_by"] == "statistics"


def test_a_locked_table_is_estimated_where_pgstattuple_would_wait(
    bloated: Connection, locked: Callable[[str], None]
) -> None:
    bloated.execute("CREATE EXTENSION pgstattuple; SET lock_timeout = '50ms'")
    locked("wide")

    found = _found(bloated)

    names = {oid: scalar(bloated, "SELECT %s::regclass::text", [oid]) for oid in found.tables}
    assert {names[oid]: each.by for oid, each in found.tables.items() if names[oid] in {"wide", "texts"}} == {
        "wide": "statistics", "texts": "pgstattuple",
    }  # fmt: skip
