"""Keeps what clients write into the tags of a run from being taken for Dagster's own word."""

from collections.abc import Mapping
from typing import Any

from ops_pipeline.orchestration.webserver.refusal import Refusal

RESERVED = ("dagster", ".dagster", "ops/")
"""What Dagster, its launchers and we ourselves interpret begins so: which schedule or backfill a run is of,
its image, its pod. With `dagster/backfill` a run would not be in the list of runs."""
USER = "user"
"""The person, for Dagster."""
SENT_BY_PAGES = {
    "dagster/from_ui",
    "dagster/solid_selection", "dagster/op_selection", "dagster/step_selection",
    "dagster/preset_name",
    "dagster/parent_run_id", "dagster/root_run_id", "dagster/is_resume_retry",
    "dagster/partition_set", "dagster/partition",
    "dagster/asset_partition_range_start", "dagster/asset_partition_range_end",
}  # fmt: skip
"""What Dagster's pages themselves write for a launch, a re-execution or a backfill. A page that re-executes
some steps also repeats all tags of the run before, such as those of its schedule."""
DIMENSION = "dagster/partition/"
CONFIGURATION = "runConfigData"
"""The configuration of a run, which has no tags."""


def is_reserved(key: str) -> bool:
    """Whether the tag is not for clients to set."""
    if key in SENT_BY_PAGES or key.startswith(DIMENSION):
        return False
    return key == USER or key.startswith(RESERVED)


def without_reserved(value: Any) -> Any:
    """The variables of a mutation, without the reserved tags in their lists."""
    if isinstance(value, dict):
        return {
            name: inner if name == CONFIGURATION else without_reserved(inner) for name, inner in value.items()
        }
    if isinstance(value, list):
        return [without_reserved(inner) for inner in value if _reserved(inner) is None]
    return value


def refuse_reserved(value: Any) -> None:
    """Raises Refusal 403 where a reserved tag is left: it is written in the document itself."""
    if (key := _reserved(value)) is not None:
        raise Refusal(
            403,
            f"The tag {key[:100]} is not for clients to set; leave it out, or send tags as a variable, of "
            "which it is left out. Nothing was done",
        )
    if isinstance(value, Mapping):
        value = [inner for name, inner in value.items() if name != CONFIGURATION]
    if isinstance(value, list):
        for inner in value:
            refuse_reserved(inner)


def _reserved(value: Any) -> str | None:
    """The key of what is a reserved tag."""
    if not isinstance(value, Mapping) or not value.keys() >= {"key", "value"}:
        return None
    key = value["key"]
    return key if isinstance(key, str) and is_reserved(key) else None
