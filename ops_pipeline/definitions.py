"""Dagster's entry point: loads policies.yaml and builds its assets, checks, jobs and sensors."""

from ops_pipeline import settings
from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration.definitions import build_definitions

loaded = settings.load()
settings.require_database(loaded)
defs = build_definitions(kinds.load(loaded.policies))
