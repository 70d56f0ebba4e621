"""A child's column is compared with its parent's as PostgreSQL's foreign keys compare them."""

from itertools import product

import psycopg
import pytest
from psycopg import sql as compose

from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.equality import KeyEquality, key_equalities
from ops_pipeline.postgres.relation import Relation, TableName, find_relation

TYPES = (
    "int4", "int8", "numeric", "text", "varchar(9)", "char(3)", "citext", "name", "uuid", "big", "bigger",
    "words", "mood", "date", "timestamptz", "int4range",
)  # fmt: skip


@pytest.fixture
def tables(connection: Connection) -> Connection:
    """A child c and a parent p for each type, and a parent q without a key."""
    connection.execute(
        "CREATE EXTENSION citext; CREATE DOMAIN big AS bigint; CREATE DOMAIN bigger AS big;"
        "CREATE DOMAIN words AS text; CREATE TYPE mood AS ENUM ('good', 'bad')"
    )
    for number, of_type in enumerate(TYPES):
        statement = f"CREATE TABLE c{number} (x {of_type}); CREATE TABLE p{number} (x {of_type} PRIMARY KEY);"
        connection.execute(compose.SQL(f"{statement} CREATE TABLE q{number} (x {of_type})"))
    return connection


def test_exactly_the_types_that_a_foreign_key_may_join_are_compared_by_its_operator(
    tables: Connection,
) -> None:
    for child, parent in product(range(len(TYPES)), repeat=2):
        asked = (_table(tables, f"c{child}"), _table(tables, f"p{parent}"), _table(tables, f"q{parent}"))
        with_key, without_key = _equality(tables, *asked[:2]), _equality(tables, asked[0], asked[2])
        with tables.transaction(force_rollback=True):
            by_key = _by_foreign_key(tables, *asked[:2])

        assert with_key == without_key == by_key, (TYPES[child], TYPES[parent])
        if by_key is not None:
            _compare(tables, *asked[:2], by_key)


def _equality(connection: Connection, child: Relation, parent: Relation) -> KeyEquality | None:
    try:
        (equality,) = key_equalities(connection, child, ["x"], parent, ["x"])
    except LookupError:
        return None
    return equality


def _by_foreign_key(connection: Connection, child: Relation, parent: Relation) -> KeyEquality | None:
    """The operator of the foreign key that PostgreSQL creates; None if it refuses to."""
    statement = compose.SQL("ALTER TABLE {} ADD CONSTRAINT made FOREIGN KEY (x) REFERENCES {}")
    try:
        with connection.transaction():
            connection.execute(statement.format(child.identifier, parent.identifier))
    except psycopg.errors.DatatypeMismatch:
        return None
    operator = connection.execute("SELECT conpfeqop[1] FROM pg_constraint WHERE conname = 'made'").fetchone()
    equality = _equality(connection, child, parent)
    assert equality is not None
    named = connection.execute(
        "SELECT n.nspname, o.oprname FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace"
        " WHERE o.oid = %s",
        operator,
    ).fetchone()
    assert equality.operator == named
    return equality


def _compare(connection: Connection, child: Relation, parent: Relation, equality: KeyEquality) -> None:
    """Compares parent, child and key with each other."""
    of_child, of_parent = compose.SQL("c.x"), compose.SQL("p.x")
    key = equality.key_of_child(of_child)
    statement = compose.SQL("SELECT FROM {} AS c, {} AS p WHERE {} AND {} AND {}").format(
        child.identifier,
        parent.identifier,
        equality.equal(equality.of_parent(of_parent), equality.of_child(of_child)),
        equality.equal(equality.of_parent(of_parent), key),
        equality.equal(equality.of_child(of_child), key),
    )
    connection.execute(statement)


def _table(connection: Connection, name: str) -> Relation:
    return find_relation(connection, TableName("public", name))
