"""Dagster's entry point."""

from ops_pipeline import policy, settings
from ops_pipeline.orchestration import gather

defs = gather.definitions(policy.load(settings.load().policies))
