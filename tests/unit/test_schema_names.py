"""The configured schemas replace our schema names in every statement, and nothing else."""

import re

import pytest
from pydantic import ValidationError

import sql
from sql.schema_names import SchemaNames, with_names

FILES = sorted(sql.FOLDER.rglob("*.sql"))
DEFAULT = SchemaNames()
ELSEWHERE = SchemaNames(own_schema="Our_Things", audit_log_schema="Log")

NO_SCHEMA = re.compile(
    r"ops\.restoring'|"  # a custom setting
    r"'ops: |\"ops: |"  # advisory locks
    r"'ops %"  # application_name of our sessions
)
"""Everything that begins with the word `ops` and is no schema."""
THE_APPLICATIONS = re.compile(r"public\.(?:users|sessions|conversations|memories)\b|SCHEMA public, |'public'")
"""Names in which the application's schema is meant."""


def _remaining(word: str, but: re.Pattern[str]) -> list[str]:
    """Where the word remains after the names are replaced, with its context, except in those."""
    remaining = []
    for file in FILES:
        text = with_names(file.read_text(), ELSEWHERE)
        for place in re.finditer(rf"\b{word}\b(?!-)", text):
            around = text[max(place.start() - 8, 0) : place.end() + 16]
            if not but.search(around):
                remaining.append(f"{file.relative_to(sql.FOLDER)}: {around}")
    return remaining


def test_without_settings_a_statement_is_what_its_file_says() -> None:
    assert len(FILES) > 300
    assert [file for file in FILES if with_names(file.read_text(), DEFAULT) != file.read_text()] == []


def test_every_name_of_our_schema_is_replaced() -> None:
    assert _remaining("ops", but=NO_SCHEMA) == []


def test_every_name_of_the_audit_logs_schema_is_replaced() -> None:
    assert _remaining("public", but=THE_APPLICATIONS) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT ops.release_hold(%(id)s)", 'SELECT "Our_Things".release_hold(%(id)s)'),
        ("to_regclass('ops.holds_now')", "to_regclass('\"Our_Things\".holds_now')"),
        ("WHERE n.nspname <> 'ops'", "WHERE n.nspname <> 'Our_Things'"),
        ("SELECT 'ops'::regnamespace", "SELECT '\"Our_Things\"'::regnamespace"),
        ("CREATE SCHEMA IF NOT EXISTS ops", 'CREATE SCHEMA IF NOT EXISTS "Our_Things"'),
        ("format('CREATE TABLE ops.%I (%s)', a, b)", "format('CREATE TABLE \"Our_Things\".%I (%s)', a, b)"),
        ("USAGE ON SCHEMA public, ops TO", 'USAGE ON SCHEMA public, "Log", "Our_Things" TO'),
        ("SELECT FROM public.audit_logs_default", 'SELECT FROM "Log".audit_logs_default'),
        ("to_regclass('public.' || ours.name)", "to_regclass('\"Log\".' || ours.name)"),
        ("current_setting('ops.restoring', true)", "current_setting('ops.restoring', true)"),
        ("ops.restoring_0", '"Our_Things".restoring_0'),
        ("hashtextextended('ops: migrate', 0)", "hashtextextended('ops: migrate', 0)"),
        ("GRANT ops_reader TO me", "GRANT ops_reader TO me"),
        ("SELECT id FROM public.users", "SELECT id FROM public.users"),
    ],
)
def test_a_name_is_replaced_where_it_is_a_schema(text: str, expected: str) -> None:
    assert with_names(text, ELSEWHERE) == expected


def test_the_audit_log_may_be_in_our_schema_and_in_one_called_ops() -> None:
    text = "FROM ops.plans, public.audit_logs"

    assert with_names(text, SchemaNames(audit_log_schema="ops")) == 'FROM ops.plans, "ops".audit_logs'
    other = SchemaNames(own_schema="public_ops", audit_log_schema="ops")
    assert with_names(text, other) == 'FROM "public_ops".plans, "ops".audit_logs'


@pytest.mark.parametrize(
    "name", ["", "1st", "a b", 'a"b', "a.b", "a%b", "a{b", "größe", "a$b", "a" * 64, "pg_ours", "PG_x"]
)
def test_a_schema_name_that_is_not_valid_everywhere_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=r"OPS_SCHEMA|own_schema"):
        SchemaNames(own_schema=name)
    with pytest.raises(ValidationError, match=r"audit_log_schema"):
        SchemaNames(audit_log_schema=name)


@pytest.mark.parametrize("name", ["user", "Ops", "_x1", "a" * 63])
def test_any_other_schema_name_is_used_literally(name: str) -> None:
    assert f'"{name}".plans' in with_names("ops.plans", SchemaNames(own_schema=name))


def test_our_schema_may_not_be_the_applications_schema() -> None:
    with pytest.raises(ValidationError, match="the application's"):
        SchemaNames(own_schema="public")
