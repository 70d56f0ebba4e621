"""Dagster's entry point: loads policies.yaml and builds its assets, checks, jobs and sensors."""

from ops_pipeline import settings
from ops_pipeline.orchestration import unreadable_policies
from ops_pipeline.orchestration.definitions import load_definitions
from ops_pipeline.policies.file import PolicyError

loaded = settings.load()
settings.require_database(loaded)
try:
    defs = load_definitions(loaded)
except PolicyError as error:
    # Without definitions there is no sensor that could report it.
    unreadable_policies.report(loaded, error)
    raise
