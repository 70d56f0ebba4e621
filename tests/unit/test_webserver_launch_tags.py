"""No client writes into a run's tags what Dagster, its launchers or we ourselves take for their own word."""

import json
from typing import Any

import pytest

from ops_pipeline.orchestration.webserver import document
from ops_pipeline.orchestration.webserver.refusal import Refusal

LAUNCH = "mutation ($p: ExecutionParams!) {launchRun(executionParams: $p) {__typename}}"
KEPT = ["dagster/from_ui", "dagster/partition", "dagster/partition/color", "dagster/root_run_id", "team"]
RESERVED = [
    "dagster/backfill", "dagster/schedule_name", "dagster/sensor_name", "dagster/image", "dagster/priority",
    "dagster/max_retries", "dagster-k8s/config", ".dagster/repository", "ops/policy", "user",
]  # fmt: skip


def _tags(*keys: str) -> list[dict[str, str]]:
    return [{"key": key, "value": "x"} for key in keys]


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (LAUNCH, {"p": {"executionMetadata": {"tags": _tags(*KEPT, *RESERVED)}}}),
        (
            "mutation ($p: [ExecutionParams!]!) {launchMultipleRuns(executionParamsList: $p) {__typename}}",
            {"p": [{"executionMetadata": {"tags": _tags(*RESERVED, *KEPT)}}]},
        ),
        (
            "mutation ($p: ReexecutionParams) {launchRunReexecution(reexecutionParams: $p) {__typename}}",
            {"p": {"extraTags": _tags(*KEPT, *RESERVED)}},
        ),
        (
            "mutation ($p: LaunchBackfillParams!) {launchPartitionBackfill(backfillParams: $p) {__typename}}",
            {"p": {"tags": _tags(*KEPT, *RESERVED)}},
        ),
        (
            "mutation ($t: [ExecutionTag!]) {launchRun(executionParams: {executionMetadata: {tags: $t}})}",
            {"t": _tags(*KEPT, *RESERVED)},
        ),
    ],
)
def test_reserved_tags_are_left_out_and_others_kept(query: str, variables: dict[str, Any]) -> None:
    read = document.read(query, variables)

    passed_on = json.dumps(read.variables)
    assert [key for key in KEPT if f'"{key}"' in passed_on] == KEPT
    assert [key for key in RESERVED if f'"{key}"' in passed_on] == []


@pytest.mark.parametrize("key", RESERVED)
@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ('mutation {launchRunReexecution(reexecutionParams: {extraTags: [{key: "KEY", value: "x"}]})}', {}),
        ('mutation ($k: String!) {a(b: {executionMetadata: {tags: {key: $k, value: "x"}}})}', {"k": "KEY"}),
        (LAUNCH, {"p": {"executionMetadata": {"tags": {"key": "KEY", "value": "x"}}}}),
    ],
)  # fmt: skip
def test_where_a_reserved_tag_cannot_be_left_out_the_launch_is_refused(
    query: str, variables: dict[str, Any], key: str
) -> None:
    given = json.loads(json.dumps(variables).replace("KEY", key))

    with pytest.raises(Refusal, match=f"The tag {key} is not for clients") as refused:
        document.read(query.replace("KEY", key), given)

    assert refused.value.status == 403


def test_the_list_of_runs_can_be_asked_for_any_tag() -> None:
    query = "query ($f: RunsFilter) {runsOrError(filter: $f) {__typename}}"
    variables = {"f": {"tags": _tags(*RESERVED)}}

    assert document.read(query, variables).variables == variables


def test_a_default_value_is_no_way_around() -> None:
    default = '{executionMetadata: {tags: [{key: "dagster/backfill", value: "x"}]}}'

    read = document.read(LAUNCH.replace("Params!", f"Params! = {default}"), {})

    assert read.variables == {"p": {"executionMetadata": {"tags": []}}}, "and it is what Dagster is given"


def test_a_configuration_has_no_tags() -> None:
    configuration = {"ops": {"a": {"config": [{"key": "user", "value": "x"}]}}}
    own = "mutation ($c: RunConfigData!) {launchRun(executionParams: {runConfigData: $c}) {__typename}}"

    of_parameters = document.read(LAUNCH, {"p": {"runConfigData": configuration}})

    assert of_parameters.variables == {"p": {"runConfigData": configuration}}
    assert document.read(own, {"c": configuration}).variables == {"c": configuration}
