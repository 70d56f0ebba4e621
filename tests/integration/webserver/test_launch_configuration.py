"""A run's configuration reads no environment and changes nothing of the executor."""

from typing import Any

import dagster as dg
import pytest

from tests.integration.webserver.served import Served

Headers = dict[str, str]


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"dry_run": {"env": "OPS_DATABASE_URL"}}, "dry_run"),
        ({"approve": [{"env": "OPS_DATABASE_URL"}]}, "approve[0]"),
    ],
)
def test_a_value_from_the_environment_is_refused_and_not_read(
    served: Served, bearer: Headers, urls: dict[str, str], config: Any, field: str
) -> None:
    launched = served.launch(config, headers=bearer)

    assert launched["__typename"] == "PythonError", launched
    whole = f"resources.databases.config.{field}"
    assert f"{whole}: an environment variable is not accepted" in launched["message"]
    run = served.instance.get_runs(limit=1)[0]
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert run.tags["ops/outcome"] == "launch_refused"
    said = [event.message for event in served.instance.all_logs(run.run_id)]
    assert not [message for message in said if urls["app"] in message]


@pytest.mark.parametrize(
    "execution",
    [
        {"max_concurrent": 50},
        {"start_method": {"forkserver": {"preload_modules": ["antigravity"]}}},
        {"multiprocess": {"max_concurrent": 50}},
    ],
)
def test_the_executor_is_not_configured_by_a_run(served: Served, bearer: Headers, execution: Any) -> None:
    launched = served.launch(None, whole={"execution": {"config": execution}}, headers=bearer)

    assert launched["__typename"] == "RunConfigValidationInvalid", launched
