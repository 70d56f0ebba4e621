"""The shipped instance configurations load in the real packages and have what operators rely on."""

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_k8s import K8sRunLauncher
from ruamel.yaml import YAML

from ops_pipeline.orchestration import instance
from tests.integration.orchestration.snapshot import REPOSITORY

ON_KUBERNETES = REPOSITORY / "deploy" / "kubernetes" / "dagster.yaml"


@pytest.fixture(autouse=True)
def _storage(new_database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_DAGSTER_DATABASE_URL", instance.for_sqlalchemy(new_database()))


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load(path)
    return content


def test_the_shipped_instance_has_pools_monitoring_retries_and_no_telemetry(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_bytes(instance.CONFIGURATION.read_bytes())

    with dg.DagsterInstance.from_config(str(tmp_path)) as loaded:
        pools = loaded.get_concurrency_config().pool_config
        assert pools.pool_granularity is not None
        assert pools.pool_granularity.value == "run"
        assert pools.default_pool_limit == 1
        assert loaded.run_monitoring_enabled
        assert loaded.run_monitoring_max_runtime_seconds == 43200
        assert loaded.run_monitoring_settings["free_slots_after_run_end_seconds"] == 60
        assert loaded.run_retries_enabled
        assert loaded.run_retries_max_retries == 2
        assert not loaded.run_retries_retry_on_asset_or_op_failure
        assert not loaded.telemetry_enabled


def test_the_kubernetes_instance_is_loaded_by_the_real_launcher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_K8S_NAMESPACE", "maintenance")
    # There is no cluster here. Everything but the communication with one is real.
    monkeypatch.setattr("kubernetes.config.load_incluster_config", lambda: None)
    (tmp_path / "dagster.yaml").write_bytes(ON_KUBERNETES.read_bytes())

    with dg.DagsterInstance.from_config(str(tmp_path)) as loaded:
        launcher = loaded.run_launcher
        assert isinstance(launcher, K8sRunLauncher)
        assert launcher.job_namespace == "maintenance"
        assert launcher.env_secrets == ["ops-pipeline"]
        assert launcher.supports_check_run_worker_health


def test_kubernetes_differs_in_the_launcher_alone() -> None:
    there = _read(ON_KUBERNETES)
    there.pop("run_launcher")

    assert there == _read(instance.CONFIGURATION)


@pytest.mark.parametrize("name", ["workspace.yaml", "deploy/workspace.yaml"])
def test_the_second_location_commented_out_in_the_workspace_loads(name: str, tmp_path: Path) -> None:
    """The location is commented out in the file; the test includes it."""
    shown = re.sub(r"^#( +(?:- grpc_server:|\w+: .+))$", r"\1", (REPOSITORY / name).read_text(), flags=re.M)
    file = tmp_path / "workspace.yaml"
    file.write_text(shown)

    origins = WorkspaceFileTarget(paths=[str(file)]).create_origins()

    assert [origin.location_name for origin in origins] == ["ops_pipeline", "billing"]
