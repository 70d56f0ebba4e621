"""A hold's predicate is parsed as meant; an invalid one is pointed at, to the character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_pipeline.postgres.condition import Condition, Predicate, PredicateError, from_json, parse

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
OPERATOR = st.sampled_from(["=", ">=", ">", "<=", "<"])
CONDITION = st.builds(Condition, TEXT.filter(bool), OPERATOR, st.one_of(TEXT, st.datetimes()))


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("tenant_id = 7", [("tenant_id", "=", "7")]),
        ("tenant_id=7", [("tenant_id", "=", "7")]),
        (" a = 1  and  b = x-y ", [("a", "=", "1"), ("b", "=", "x-y")]),
        ("note = 'it''s AND that'", [("note", "=", "it's AND that")]),
        ("note = ''", [("note", "=", "")]),
        ("note = 'null'", [("note", "=", "null")]),
        ('"and" = 1 AND "a ""b""" = 2', [("and", "=", "1"), ('a "b"', "=", "2")]),
        ("at >= 2026-01-01 AND at < -7d", [("at", ">=", "2026-01-01"), ("at", "<", "-7d")]),
        ("at > '2026-01-01 12:00' AND at <= now", [("at", ">", "2026-01-01 12:00"), ("at", "<=", "now")]),
    ],
)
def test_a_valid_predicate_is_parsed(text: str, conditions: list[tuple[str, str, str]]) -> None:
    assert [(each.column, each.operator, each.value) for each in parse(text).conditions] == conditions


@pytest.mark.parametrize(
    ("text", "character", "advice"),
    [
        ("", 1, "a column is expected, as in tenant_id = 7"),
        ("= 7", 1, "a column is expected"),
        ("a.b = 7", 2, "= is expected; for a time also >=, >, <= or <"),
        ("a <> 7", 4, "a value is expected"),
        ("a != 7", 3, "= is expected"),
        ("a IN (7)", 3, "= is expected"),
        ("a = ", 5, "a value is expected"),
        ("a = AND b = 1", 4, "a value is expected before AND"),
        ('a = "x"', 5, "a value is expected, unquoted or in single quotes"),
        ("a = 'x", 5, "unterminated quoted string"),
        ("a = NULL", 5, "nothing equals NULL"),
        ("a = (SELECT 1)", 5, "a value is expected"),
        ("a = 1; DROP TABLE x", 6, "AND or the end is expected"),
        ("a = 1 OR b = 2", 7, "add two holds for OR"),
        ("a = two words", 9, "put a value with spaces in single quotes"),
        ("a = 1 AND", 10, "a column is expected"),
        ("a = 1 AND AND b = 2", 11, "a column is expected"),
        ("a = 'x\0'", 7, "NUL"),
    ],
)
def test_an_invalid_predicate_is_pointed_at(text: str, character: int, advice: str) -> None:
    with pytest.raises(PredicateError) as caught:
        parse(text)

    said, line, mark = str(caught.value).split("\n")
    assert said.startswith(f"where: character {character}: ")
    assert advice in said
    assert len(mark) == len("  ") + character
    assert len(line) == len("  ") + len(text)


@given(conditions=st.lists(CONDITION, min_size=1, max_size=4))
def test_a_predicate_survives_writing_and_parsing(conditions: list[Condition]) -> None:
    predicate = Predicate(tuple(conditions))

    assert from_json(predicate.as_json()) == predicate
    assert str(parse(str(predicate))) == str(predicate)
