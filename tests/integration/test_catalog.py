"""Policies that do not fit the database are reported with line, key and existing names."""

from collections.abc import Callable

import pytest

from ops_pipeline.maintenance import kinds
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.spelling import KEY_WORDS

Read = Callable[[str], Database]
HEAD = "version: 1\ndatabases:\n  app:\n    url: x\n"


def _retention(table: str = "sessions", column: str = "created_at", more: str = "") -> str:
    return f"{HEAD}    retention:\n      - {{table: {table}, column: {column}, keep: 1 day{more}}}\n"


def _orphans(table: str = "memories", column: str = "session_id", references: str = "sessions.id") -> str:
    return f"{HEAD}    orphans:\n      - {{table: {table}, column: {column}, references: {references}}}\n"


@pytest.mark.parametrize(
    ("text", "line", "key", "advice"),
    [
        (_retention(table="session"), 6, "retention[0].table", 'did you mean "sessions"?'),
        (_retention(table="other.sessions"), 6, "retention[0].table", 'table "other.sessions"'),
        (_retention(column="createdat"), 6, "retention[0].column", 'did you mean "created_at"?'),
        (_retention(column="note"), 6, "retention[0].column", "note is text; it must be a timestamp"),
        (_retention(more=", partition: day"), 6, "retention[0].partition", "not partitioned"),
        (_orphans(table="memory"), 6, "orphans[0].table", 'table "memory"'),
        (_orphans(column="session"), 6, "orphans[0].column", 'did you mean "session_id"?'),
        (_orphans(references="sesions.id"), 6, "orphans[0].references", 'did you mean "sessions"?'),
        (_orphans(references="sessions.key"), 6, "orphans[0].references", "available: id"),
        (
            _orphans(references="sessions.note"),
            6,
            "orphans[0].references",
            "would refuse a foreign key",
        ),
        (HEAD + "    vacuum: {tables: [sessions, memry]}\n", 5, "vacuum.tables[1]", 'table "memry"'),
    ],
)
def test_what_does_not_fit_the_database_is_named(
    application: Connection, read: Read, text: str, line: int, key: str, advice: str
) -> None:

    with pytest.raises(PolicyError) as caught:
        kinds.check(application, read(text).policies)

    (problem,) = caught.value.problems
    assert f":{line}: databases.app.{key}: " in problem
    assert advice in problem


def test_the_shipped_kinds_of_policy_fit(application: Connection, read: Callable[[], Database]) -> None:
    kinds.check(application, read().policies)


def test_the_servers_key_words_are_quoted_in_statements_for_people(connection: Connection) -> None:
    words = {
        word for (word,) in connection.execute("SELECT word FROM pg_get_keywords() WHERE catcode <> 'U'")
    }

    assert words <= KEY_WORDS
