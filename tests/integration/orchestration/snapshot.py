"""The definitions as text to review; `python -m tests.integration.orchestration.snapshot` writes it."""

from io import StringIO
from pathlib import Path
from typing import Any

import dagster as dg
from ruamel.yaml import YAML

from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration.definitions import build_definitions

REPOSITORY = Path(__file__).parents[3]
FILE = Path(__file__).with_name("definitions.yaml")
COMMAND = ".venv/bin/python -m tests.integration.orchestration.snapshot"


def shipped() -> dg.Definitions:
    """The definitions of the shipped `policies.yaml`."""
    return build_definitions(kinds.load(REPOSITORY / "policies.yaml"))


def describe(definitions: dg.Definitions) -> dict[str, Any]:
    """Everything in which a change of the graph shows."""
    graph = definitions.resolve_asset_graph()
    repository = definitions.get_repository_def()
    assets = {node.key.to_user_string(): _asset(graph, node) for node in graph.asset_nodes}
    checks = {
        f"{key.asset_key.to_user_string()}:{key.name}": _check(graph.get_check_spec(key))
        for key in graph.asset_check_keys
    }
    return {
        "assets": dict(sorted(assets.items())),
        "checks": dict(sorted(checks.items())),
        "jobs": {
            job.name: {"description": job.description, "steps": sorted(node.name for node in job.nodes)}
            for job in repository.get_all_jobs()
            if not job.name.startswith("__")
        },
        "schedules": {
            schedule.name: {
                "cron": schedule.cron_schedule,
                "timezone": schedule.execution_timezone,
                "job": schedule.job_name,
                "on from the start": schedule.default_status is dg.DefaultScheduleStatus.RUNNING,
            }
            for schedule in repository.schedule_defs
        },
        "sensors": {
            sensor.name: {
                "every seconds": sensor.minimum_interval_seconds,
                "on from the start": sensor.default_status is dg.DefaultSensorStatus.RUNNING,
                "description": sensor.description,
            }
            for sensor in repository.sensor_defs
        },
    }


def _asset(graph: Any, node: Any) -> dict[str, Any]:
    about = {
        "description": node.description,
        "group": node.group_name,
        "after": sorted(key.to_user_string() for key in node.parent_keys),
        "kinds": sorted(node.kinds),
        "owners": list(node.owners),
        "pools": sorted(node.pools or ()),
        "executable": node.is_executable,
        "partitions": None if node.partitions_def is None else str(type(node.partitions_def).__name__),
        "backfill": None if node.backfill_policy is None else str(node.backfill_policy.policy_type.value),
        "metadata": {name: _plain(value) for name, value in sorted(node.metadata.items())},
    }
    return {name: value for name, value in about.items() if value not in (None, [], {})}


def _check(spec: dg.AssetCheckSpec) -> dict[str, Any]:
    return {"description": spec.description, "blocking": spec.blocking}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, dg.MetadataValue) else value


def as_text(described: dict[str, Any]) -> str:
    """The description as YAML."""
    yaml = YAML()
    yaml.width = 10_000  # one line each, so that a change is one line
    out = StringIO()
    yaml.dump(described, out)
    return out.getvalue()


if __name__ == "__main__":
    FILE.write_text(as_text(describe(shipped())), encoding="utf-8")
