"""Keys of different types are compared, whatever extensions and search path there are."""

from collections.abc import Callable

import pytest
from psycopg import sql as compose

import sql
from ops_pipeline.holds import holds
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.orphans import mark, triggers
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import DeletePlan, Unplanned
from ops_pipeline.maintenance.retention.method import Evidence
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, row, scalar

Read = Callable[[str], Database]

CITEXT = [
    ("public", '"$user", public'),
    ("public", ""),
    ("public", "pg_catalog"),
    ("extensions", '"$user", public, extensions'),
    ("extensions", '"$user", public'),
    ("extensions", ""),
]
TYPES = [
    ("int", "bigint"),
    ("bigint", "int"),
    ("int", "numeric"),
    ("smallint", "bigint"),
    ("whole", "bigint"),
    ("bigint", "whole"),
    ("text", "varchar(20)"),
    ("varchar", "char(8)"),
    ("char(8)", "text"),
]


def citext(connection: Connection, schema: str) -> None:
    connection.execute(
        compose.SQL("CREATE SCHEMA IF NOT EXISTS {0}; CREATE EXTENSION citext SCHEMA {0}").format(
            compose.Identifier(schema)
        )
    )


def ddl(connection: Connection, statements: str, **parts: str) -> None:
    types = {name: compose.SQL(text) for name, text in parts.items()}
    connection.execute(compose.SQL(statements).format(**types))


def search_path(connection: Connection, path: str) -> None:
    connection.execute("SELECT set_config('search_path', %s, false)", [path])


@pytest.mark.parametrize("method", ["hash", "index", "track"])
@pytest.mark.parametrize(("schema", "path"), CITEXT)
def test_children_of_living_citext_parents_are_no_orphans_whatever_the_search_path_is(
    connection: Connection,
    policies_of: Callable[[str], list[Orphans]],
    monkeypatch: pytest.MonkeyPatch,
    schema: str,
    path: str,
    method: str,
) -> None:
    citext(connection, schema)
    ddl(
        connection,
        "CREATE TABLE public.people (name {schema}.citext PRIMARY KEY);"
        "CREATE TABLE public.notes (person {schema}.citext); CREATE INDEX ON public.notes (person);"
        "INSERT INTO public.people VALUES ('Ada'), ('Bob'), ('Cem'), ('Zoe');"
        "INSERT INTO public.notes VALUES ('ada'), ('ADA'), ('bOB'), ('cem'), ('eve'), ('Eve'), (NULL)",
        schema=schema,
    )
    if method == "index":
        monkeypatch.setattr(mark, "HASHED_PARENTS", 0)
    track = "true" if method == "track" else "false"
    (policy,) = policies_of(
        f"{{table: notes, column: person, references: people.name, grace_period: 0 seconds, track: {track}}}"
    )
    search_path(connection, path)
    if method == "track":
        triggers.install(connection, policy, by="ada")
    (planned,) = plan(connection, [policy])
    assert isinstance(planned, DeletePlan), planned
    assert (planned.rows.eligible, planned.rows.null) == (2, 1)

    assert carry_out(connection, policy).removed == 2

    kept = connection.execute("SELECT person::text FROM public.notes WHERE person IS NOT NULL").fetchall()
    assert sorted(kept) == [("ADA",), ("ada",), ("bOB",), ("cem",)]
    connection.execute("DELETE FROM public.people WHERE name::text = 'Cem'")
    result = carry_out(connection, policy)
    assert (result.removed, result.remaining) == (1, 0)
    assert result.details["source"] == ("record" if method == "track" else "sweep")


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize(("child", "parent"), TYPES)
def test_keys_of_two_types_are_compared(
    connection: Connection,
    policies_of: Callable[[str], list[Orphans]],
    child: str,
    parent: str,
    *,
    indexed: bool,
) -> None:
    ddl(
        connection,
        "CREATE DOMAIN whole AS bigint; CREATE TABLE parents (id {parent} PRIMARY KEY);"
        "CREATE TABLE children (parent {child}); INSERT INTO parents SELECT generate_series(1, 50);"
        "INSERT INTO children SELECT generate_series(1, 60)",
        child=child,
        parent=parent,
    )
    if indexed:
        connection.execute("CREATE INDEX ON children (parent)")
    (policy,) = policies_of(
        "{table: children, column: parent, references: parents.id, grace_period: 0 seconds, track: true}"
    )
    triggers.install(connection, policy, by="ada")

    assert carry_out(connection, policy).removed == 10

    connection.execute("DELETE FROM parents WHERE id::text::int <= 5")
    assert carry_out(connection, policy).removed == 5
    assert scalar(connection, "SELECT count(*) FROM children") == 45


def test_a_deleted_parent_key_beyond_the_childs_type_is_no_error(
    connection: Connection, policies_of: Callable[[str], list[Orphans]]
) -> None:
    connection.execute(
        "CREATE TABLE parents (id bigint PRIMARY KEY); CREATE TABLE children (parent int);"
        "CREATE INDEX ON children (parent); INSERT INTO parents VALUES (1), (2), (9999999999);"
        "INSERT INTO children VALUES (1), (2)"
    )
    (policy,) = policies_of(
        "{table: children, column: parent, references: parents.id, grace_period: 0 seconds, track: true}"
    )
    triggers.install(connection, policy, by="ada")
    carry_out(connection, policy)
    connection.execute("DELETE FROM parents WHERE id > 1")

    assert carry_out(connection, policy).removed == 1


def test_a_citext_child_of_a_text_parent_is_compared_as_text(
    connection: Connection, policies_of: Callable[[str], list[Orphans]]
) -> None:
    citext(connection, "public")
    connection.execute(
        "CREATE TABLE parents (id text PRIMARY KEY); INSERT INTO parents VALUES ('ada');"
        "CREATE TABLE children (parent citext REFERENCES parents);"
        "INSERT INTO children VALUES ('ada'); SET session_replication_role = replica;"
        "INSERT INTO children VALUES ('Ada'), ('ADA'); SET session_replication_role = origin"
    )
    (policy,) = policies_of(
        "{table: children, column: parent, references: parents.id, grace_period: 0 seconds}"
    )

    assert carry_out(connection, policy).removed == 2

    assert connection.execute("SELECT parent::text FROM children").fetchall() == [("ada",)]


@pytest.mark.parametrize("path", ["public", ""])
def test_a_key_of_several_columns_of_several_schemas_is_compared(
    connection: Connection, policies_of: Callable[[str], list[Orphans]], path: str
) -> None:
    citext(connection, "public")
    connection.execute(
        "CREATE TABLE parents (tenant int, name citext, PRIMARY KEY (tenant, name));"
        "INSERT INTO parents VALUES (1, 'Ada'), (2, 'Bob');"
        "CREATE TABLE children (tenant bigint, name citext);"
        "INSERT INTO children VALUES (1, 'ada'), (2, 'ada'), (2, 'BOB'), (3, 'Bob')"
    )
    search_path(connection, path)
    (policy,) = policies_of(
        "{table: children, columns: [tenant, name], references: 'parents(tenant, name)',"
        " grace_period: 0 seconds}"
    )

    assert carry_out(connection, policy).removed == 2

    assert connection.execute("SELECT tenant FROM public.children ORDER BY 1").fetchall() == [(1,), (2,)]


@pytest.mark.parametrize(
    ("of_child", "of_parent"), [("C", "POSIX"), ("default", "C"), ("C", "default"), ("C", "C")]
)
def test_text_of_two_collations_is_compared(
    connection: Connection, policies_of: Callable[[str], list[Orphans]], of_child: str, of_parent: str
) -> None:
    ddl(
        connection,
        'CREATE TABLE parents (id text COLLATE "{of_parent}" PRIMARY KEY);'
        'CREATE TABLE children (parent text COLLATE "{of_child}"); CREATE INDEX ON children (parent);'
        "INSERT INTO parents VALUES ('ada'); INSERT INTO children VALUES ('ada'), ('eve')",
        of_child=of_child,
        of_parent=of_parent,
    )
    (policy,) = policies_of(
        "{table: children, column: parent, references: parents.id, grace_period: 0 seconds, track: true}"
    )
    (planned,) = plan(connection, [policy])
    assert isinstance(planned, DeletePlan), planned
    assert any("Give the columns the same type and collation" in line for line in planned.advice) is (
        of_child != of_parent
    )

    assert carry_out(connection, policy).removed == 1


@pytest.mark.parametrize(
    ("child", "parent"), [("text", "bigint"), ("numeric", "bigint"), ("uuid", "text"), ("int[]", "int[]")]
)
def test_types_that_postgresql_cannot_compare_are_refused_with_the_line(
    connection: Connection, read: Read, child: str, parent: str
) -> None:
    ddl(
        connection,
        "CREATE TABLE parents (id {parent} PRIMARY KEY); CREATE TABLE children (parent {child})",
        child=child,
        parent=parent,
    )
    database = read(
        "version: 1\ndatabases:\n  app:\n    url: x\n    orphans:\n"
        "      - table: children\n        column: parent\n        references: parents.id\n"
    )

    (refused,) = plan(connection, database.policies)

    assert isinstance(refused, Unplanned)
    assert "policies.yaml:8" in refused.problem
    names = {"int[]": "integer[]"}
    said = f"references: id is {names.get(parent, parent)}, and parent is {names.get(child, child)}: "
    assert said in refused.problem


@pytest.mark.parametrize(("schema", "path"), CITEXT)
def test_a_hold_on_citext_keeps_rows_whatever_the_search_path_is(
    connection: Connection, read: Read, schema: str, path: str
) -> None:
    citext(connection, schema)
    ddl(
        connection,
        "CREATE TABLE public.people (name {schema}.citext, at timestamptz DEFAULT '2020-01-01');"
        "INSERT INTO public.people VALUES ('Ada'), ('ADA'), ('Bob')",
        schema=schema,
    )
    search_path(connection, path)
    hold = holds.add(connection, "people", "name = ada", reason="x", owner="y", by="z")
    (policy,) = read(
        "version: 1\ndatabases: {app: {url: x, retention:"
        " [{table: people, column: at, keep: 1 day, guard: {max_fraction: 1}}]}}"
    ).policies

    assert holds.covered(connection, hold, seconds=10) == 2
    assert carry_out(connection, policy).removed == 1


@pytest.mark.parametrize(("schema", "path"), CITEXT)
def test_a_citext_row_that_others_refer_to_is_kept_whatever_the_search_path_is(
    connection: Connection, read: Read, schema: str, path: str
) -> None:
    citext(connection, schema)
    ddl(
        connection,
        "CREATE TABLE public.people (name {schema}.citext PRIMARY KEY, at timestamptz DEFAULT '2020-01-01');"
        "CREATE TABLE public.notes (person {schema}.citext REFERENCES public.people);"
        "INSERT INTO public.people VALUES ('Ada'), ('Bob'); INSERT INTO public.notes VALUES ('ADA')",
        schema=schema,
    )
    search_path(connection, path)
    (policy,) = read(
        "version: 1\ndatabases: {app: {url: x, retention:"
        " [{table: people, column: at, keep: 1 day, guard: {max_fraction: 1}}]}}"
    ).policies

    assert carry_out(connection, policy).removed == 1
    assert scalar(connection, "SELECT name::text FROM public.people") == "Ada"


@pytest.mark.parametrize(("of_key", "scanned"), [("text", True), ("citext", False)])
def test_a_key_whose_order_depends_on_the_search_path_is_not_scanned_along(
    connection: Connection, of_key: str, *, scanned: bool
) -> None:
    citext(connection, "public")
    ddl(connection, "CREATE TABLE codes (code {of_key} PRIMARY KEY, at timestamptz)", of_key=of_key)
    values = {"oid": scalar(connection, "SELECT 'codes'::regclass::oid"), "column": "at"}

    assert Evidence(*row(connection, sql.get("maintenance/retention/evidence"), values)).has_key is scanned
