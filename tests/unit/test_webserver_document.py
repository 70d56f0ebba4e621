"""A GraphQL document that would cost much is refused before anyone works on it."""

import json
from typing import Any

import pytest

from ops_pipeline.orchestration.webserver import document, posted
from ops_pipeline.orchestration.webserver.refusal import Refusal


def _spreading(levels: int) -> str:
    """Fragments that multiply: the last is spread 2 ** levels times."""
    chain = " ".join(
        f"fragment F{level} on Run {{a: parent {{...F{level + 1}}} b: parent {{...F{level + 1}}}}}"
        for level in range(levels)
    )
    return f"{{runs {{...F0}}}} {chain} fragment F{levels} on Run {{id}}"


DEEP = " ".join(
    f"fragment F{number} on Run {{{'a {' * 150}...F{number + 1}{'}' * 150}}}" for number in range(9)
)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (f"mutation {{{'a ' * 2_000_000}}}", "65536 characters"),
        (f"{{{' '.join(f'a{number}' for number in range(6000))}}}", "5000 tokens"),
        ("#\n" * 6000 + "{a}", "5000 tokens"),
        (f"{{{'a ' * 600}}}", "500 fields of one name"),
        (f"{{{' '.join(f'a: a{number}' for number in range(600))}}}", "500 fields of one name"),
        (_spreading(40), "20000 fields, with the fragments in their places"),
        (f"{{{'a {' * 1000}a{'}' * 1000}}}", None),
        (f"{{...F0}} {DEEP}", None),
    ],
)
def test_a_document_that_is_too_large_is_refused(text: str, limit: str | None) -> None:
    with pytest.raises(Refusal) as refused:
        document.read(text, {})

    if limit is not None:
        assert refused.value.status == 413
        assert f"The GraphQL document has more than {limit}. Nothing was done" in refused.value.reason


def test_a_fragment_that_spreads_itself_ends_no_search() -> None:
    read = document.read("mutation {...F} fragment F on Mutation {...F a {...F}}", {})

    assert [mutation.name for mutation in read.mutations] == ["a"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "send a JSON object with query and variables"),
        ({"query": 7}, "send a JSON object with query and variables"),
        ({"query": "{a}", "variables": [1]}, "variables must be an object"),
        ({"query": "{a}", "variables": "{"}, "is not valid JSON"),
        ({"query": "{a}", "operationName": 7}, "operationName a string"),
        ({"query": "{"}, "Invalid GraphQL document"),
    ],
)
def test_a_request_that_is_none_is_refused(content: Any, said: str) -> None:
    with pytest.raises(Refusal, match=said) as refused:
        posted.decode(content)
    assert refused.value.status == 400


def test_what_dagster_reads_has_only_what_was_read() -> None:
    named, _ = posted.decode(
        {"query": "{a}", "variables": '{"b": 1}', "extensions": {}, "operationName": None}
    )

    assert named == {"query": "{a}", "variables": {"b": 1}, "operationName": None}
    with pytest.raises(Refusal):
        posted.loaded(f"{'[' * 100_000}{']' * 100_000}")
    assert json.dumps(posted.loaded('"\\ud800"')) == '"\\ud800"'
