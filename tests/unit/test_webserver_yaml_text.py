"""A run's configuration that would grow when Dagster reads it is refused, wherever a client writes it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from dagster_graphql.schema import create_schema
from graphql import GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType, get_named_type

from ops_pipeline.orchestration.webserver import arguments, document
from ops_pipeline.orchestration.webserver.refusal import Refusal

BOMB = "\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9))])
REPEATED = f"approve: [&s {'x' * 1000}{', *s' * 10_000}]"
CHECK = "query ($c: RunConfigData!) {isPipelineConfigValid(runConfigData: $c) {__typename}}"
LAUNCH = "mutation ($p: ExecutionParams!) {launchRun(executionParams: $p) {__typename}}"


def _ways(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each way in which a client can send the text."""
    written = json.dumps(text)
    yield CHECK, {"c": text}
    yield CHECK.replace("Data!", f"Data = {written}"), {}
    yield f"{{isPipelineConfigValid(runConfigData: {written}) {{__typename}}}}", {}
    yield (
        "query ($c: RunConfigData) {a {...F}} fragment F on R {isRunConfigValid(runConfigData: $c) {a}}",
        {"c": text},
    )
    yield LAUNCH, {"p": {"runConfigData": text}}
    yield LAUNCH.replace("$p)", f"{{runConfigData: {written}}})").replace("($p: ExecutionParams!)", ""), {}
    yield (
        "mutation ($p: [ExecutionParams!]!) {launchMultipleRuns(executionParamsList: $p) {a}}",
        {"p": [{}, {"runConfigData": text}]},
    )
    yield (
        "mutation ($p: LaunchBackfillParams!) {launchPartitionBackfill(backfillParams: $p) {a}}",
        {"p": {"runConfigData": text}},
    )
    yield "mutation ($t: String!) {setAppManagedComponent(attributes: $t) {a}}", {"t": text}


@pytest.mark.parametrize("text", [BOMB, REPEATED, "a: &b 1", "- *b", "&a [*a]"])
@pytest.mark.parametrize("way", range(9))
def test_anchors_and_aliases_are_refused_wherever_they_are_sent(text: str, way: int) -> None:
    query, variables = list(_ways(text))[way]

    with pytest.raises(Refusal, match="anchor or alias") as refused:
        document.read(query, variables)

    assert refused.value.status == 400


@pytest.mark.parametrize("text", ["a: " + "x" * 70_000, "[" * 60 + "]" * 60, "[" * 5000])
def test_a_text_that_is_too_large_or_too_deep_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        document.read(CHECK, {"c": text})

    assert refused.value.status == 413


@pytest.mark.parametrize(
    "text",
    [
        "resources: {databases: {config: {dry_run: true}}}",
        "table: audit_logs\nfrom: 2026-08-02\nreason: 'a & b, *c'\nby: ada",
        "cron: '* * *'",
        "invalid: [",  # Dagster says so in the launchpad
        "",
    ],
)
def test_other_texts_are_left_to_dagster(text: str) -> None:
    for query, variables in _ways(text):
        assert document.read(query, variables).variables.keys() == variables.keys() | (
            {"c"} if "$c" in query else set()
        )


def test_a_configuration_that_is_an_object_may_have_any_text() -> None:
    document.read(LAUNCH, {"p": {"runConfigData": {"a": {"attributes": "&a [*a]"}}}})


def test_each_argument_that_dagster_reads_as_yaml_is_known() -> None:
    """A new version of Dagster may have others; the type of a run's configuration says so."""
    found = set[str]()
    for kind in create_schema().graphql_schema.type_map.values():
        if isinstance(kind, GraphQLInputObjectType):
            found |= {name for name, one in kind.fields.items() if _is_configuration(one.type)}
        elif isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for one in kind.fields.values():
                found |= {name for name, given in one.args.items() if _is_configuration(given.type)}

    assert found
    assert found <= arguments.YAML


def _is_configuration(kind: Any) -> bool:
    return str(get_named_type(kind)) == arguments.CONFIGURATION_TYPE
