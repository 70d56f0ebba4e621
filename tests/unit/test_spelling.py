"""Statements for people have names in quotes only where SQL requires it."""

import pytest
from psycopg import sql

from ops_pipeline.postgres.spelling import spelled


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("sessions", "public.sessions"),
        ("sessions_2026", "public.sessions_2026"),
        ("order", 'public."order"'),
        ("user", 'public."user"'),
        ("Sessions", 'public."Sessions"'),
        ("2026", 'public."2026"'),
        ("a b", 'public."a b"'),
        ('a"b', 'public."a""b"'),
        ("it's", 'public."it\'s"'),
        ("größe", 'public."größe"'),
    ],
)
def test_a_name_is_quoted_only_where_sql_requires_it(name: str, shown: str) -> None:
    statement = sql.SQL("DROP TABLE {};").format(sql.Identifier("public", name))

    assert spelled(statement, None) == f"DROP TABLE {shown};"


def test_a_string_keeps_the_quotes_in_it() -> None:
    statement = sql.SQL("SELECT {} FROM {}").format(sql.Literal('it\'s "quoted"'), sql.Identifier("t"))

    assert spelled(statement, None) == "SELECT 'it''s \"quoted\"' FROM t"
