"""A GraphQL document that would cost much is refused before anyone works on it."""

import json
from typing import Any

import pytest
from dagster_graphql.schema import create_schema
from graphql import GraphQLSchema, parse, validate
from graphql.validation import OverlappingFieldsCanBeMergedRule
from graphql.validation.rules import overlapping_fields_can_be_merged

from ops_pipeline.orchestration.webserver import document, posted, validation
from ops_pipeline.orchestration.webserver.refusal import Refusal
from tests.unit import dagster_pages


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


@pytest.mark.parametrize(
    "text",
    [
        "mutation {...F} fragment F on Mutation {...F a}",
        "{b} fragment F on Query {a {...G}} fragment G on Query {c {...F}}",
    ],
)
def test_a_fragment_that_contains_itself_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="contains itself") as refused:
        document.read(text, {})
    assert refused.value.status == 400


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    validation.bound_comparisons()
    schema: GraphQLSchema = create_schema().graphql_schema
    return schema


@pytest.mark.parametrize(
    "text",
    [
        f'subscription {{pipelineRunLogs(runId: "x") {{{"a {b {c {d}}} " * 490}}}}}',
        f"{{{'version ' * 2000}}}",
        f"{{{'a: runOrError(runId: 7) {__typename} ' * 300}}}",
        f"{{{' '.join(f'...F{number}' for number in range(200))}}}"
        + " ".join(f"fragment F{number} on Query {{version}}" for number in range(200)),
    ],
)
def test_a_document_whose_validation_would_take_long_is_invalid(schema: GraphQLSchema, text: str) -> None:
    document.read(text, {})

    said = [error.message for error in validate(schema, parse(text))]

    assert said[-1] == "Validation aborted."


def test_every_document_of_dagsters_pages_is_far_below_the_limits(
    schema: GraphQLSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    least = validation.MOST_COMPARED // 4
    monkeypatch.setattr(overlapping_fields_can_be_merged, "MAX_COMPLEXITY_BUDGET", least)
    monkeypatch.setattr(validation, "MOST_FIELDS", validation.MOST_FIELDS // 2)
    names = []
    for name, text in dagster_pages.documents():
        document.read(text, {})
        errors = validate(schema, parse(text), [OverlappingFieldsCanBeMergedRule])
        assert [error.message for error in errors] == []
        names.append(name)

    assert len(names) > 150
    assert "PipelineRunLogsSubscription" in names, "the one with the most comparisons"


def test_only_the_operation_that_is_executed_counts_with_the_defaults_of_its_variables() -> None:
    text = """
      mutation A {deleteRun(runId: "decoy") {__typename}}
      mutation B($id: String! = "x", $at: Float, $no: Boolean = true) {
        ...F terminateRun(runId: $id, terminatePolicy: SAFE) {__typename}}
      fragment F on Mutation {scheduleDryRun(timestamp: $at, selectorData: {name: $id}) {__typename}}
    """

    by_default, given = document.read(text, {}, "B"), document.read(text, {"id": "y", "other": 1}, "B")

    assert by_default.operation == "B"
    assert [(mutation.name, mutation.arguments) for mutation in by_default.mutations] == [
        ("scheduleDryRun", {"selectorData": {"name": "x"}}),
        ("terminateRun", {"runId": "x", "terminatePolicy": "SAFE"}),
    ]
    assert by_default.variables == {"id": "x", "no": True}
    assert given.variables == {"id": "y", "no": True}, "and none that it does not declare"


@pytest.mark.parametrize("name", [None, "C"])
def test_an_operation_that_cannot_be_told_is_refused(name: str | None) -> None:
    with pytest.raises(Refusal, match="exactly one can be executed") as refused:
        document.read("query A {a} query B {b}", {}, name)
    assert refused.value.status == 400


def test_a_variable_that_is_named_many_times_is_not_multiplied() -> None:
    text = f"query ($a: String) {{{' '.join(f'f{number}(a: [$a, {{b: $a}}])' for number in range(20))}}}"

    document.read(text, {"a": "x" * 1000})
    with pytest.raises(Refusal, match="bytes of arguments, with the variables in their places") as refused:
        document.read(text, {"a": "x" * 60_000})
    assert refused.value.status == 413


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
    query = "query Q($b: Int, $c: Int = 2) {a(b: $b, c: $c)}"

    named, _ = posted.decode(
        {"query": query, "variables": '{"b": 1, "d": 3}', "extensions": {}, "operationName": ""}
    )

    assert named == {"query": query, "variables": {"b": 1, "c": 2}, "operationName": "Q"}
    with pytest.raises(Refusal):
        posted.loaded(f"{'[' * 100_000}{']' * 100_000}")
    assert json.dumps(posted.loaded('"\\ud800"')) == '"\\ud800"'
