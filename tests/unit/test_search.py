"""A search becomes a condition on details; a mistake in it is pointed at."""

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ops_pipeline.audit.search import MOST_TERMS, SearchError, parse

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e9, 1e9) | TEXT


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def documents(text: str) -> list[list[Any]]:
    return [[json.loads(each) for each in term.alternatives()] for term in parse(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("errorCode:AccessDenied", [[{"errorCode": "AccessDenied"}]]),
        ("userIdentity.type:Root", [[{"userIdentity": {"type": "Root"}}]]),
        ('message:"not authorized"', [[{"message": "not authorized"}]]),
        ("a:5", [[{"a": 5}, {"a": "5"}]]),
        ("a:-1.5e3", [[{"a": -1500.0}, {"a": "-1.5e3"}]]),
        ('a:"5"', [[{"a": "5"}]]),
        ("a:true b:null", [[{"a": True}, {"a": "true"}], [{"b": None}, {"b": "null"}]]),
        ("a:05", [[{"a": "05"}]]),
        ("a:NaN", [[{"a": "NaN"}]]),
        ("a:1e999", [[{"a": "1e999"}]]),
        ("arn:arn:aws:iam::1:user/x", [[{"arn": "arn:aws:iam::1:user/x"}]]),
        ("list[].name:x", [[{"list": [{"name": "x"}]}]]),
        ("tags[]:red", [[{"tags": ["red"]}]]),
        ('"a.b"."":c', [[{"a.b": {"": "c"}}]]),
        (r'a:"say \"\\\""', [[{"a": 'say "\\"'}]]),
        ('a:""', [[{"a": ""}]]),
        ("  a:1\t\nb:2  ", [[{"a": 1}, {"a": "1"}], [{"b": 2}, {"b": "2"}]]),
    ],
)
def test_a_search_becomes_containment_of_details(text: str, expected: list[list[Any]]) -> None:
    assert documents(text) == expected


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 1, "the search is empty"),
        ("   ", 1, "the search is empty"),
        ("user", 5, '":" and a value'),
        ("a:1 user", 9, '":" and a value'),
        ("a:", 3, 'write the empty text as ""'),
        ("a: b", 3, "a value is expected"),
        (":x", 1, "a key is expected"),
        ("a.:x", 3, "a key is expected"),
        ("a..b:x", 3, "a key is expected"),
        ('a:1 b:"open', 7, "unterminated"),
        (r'a:"\n"', 5, "after a backslash"),
        ('a:"x"y:1', 6, "a space is expected"),
        ('a:x"y"', 4, "a space is expected"),
        ("a[0]:1", 3, "any element"),
        ("a:\0", 3, "cannot store"),
        ("a:" + "x" * 1000, 1001, "longer than 1000"),
        ("a:1 " * (MOST_TERMS + 1), 4 * MOST_TERMS + 1, f"at most {MOST_TERMS}"),
        (".".join("a" * 17) + ":1", 33, "at most 16 keys"),
    ],
)
def test_a_mistake_is_pointed_at(text: str, position: int, reason: str) -> None:
    with pytest.raises(SearchError, match=f"character {position}: ") as caught:
        parse(text)

    assert caught.value.position == position
    assert reason in caught.value.reason


@given(st.lists(st.tuples(st.lists(TEXT, min_size=1, max_size=4), SCALARS), min_size=1, max_size=4))
def test_any_path_and_value_can_be_written(terms: list[tuple[list[str], Any]]) -> None:
    text = " ".join(f"{'.'.join(map(quoted, path))}:{written(value)}" for path, value in terms)
    assume(len(text) <= 1000)

    for (path, value), alternatives in zip(terms, documents(text), strict=True):
        found = alternatives[0]
        for key in path:
            found = found[key]
        assert found == value
        assert isinstance(found, bool) == isinstance(value, bool)


@given(st.text() | st.text(st.sampled_from('ab.:"\\[] 1-')))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        found = documents(text)
    except SearchError as error:
        position = error.position
    else:
        assert all(isinstance(each, dict) for term in found for each in term)
        position = 1
    assert 1 <= position <= len(text) + 1
