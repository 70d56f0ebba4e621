"""Retention, orphan cleanup, VACUUM, archive and audit log for PostgreSQL, run by Dagster."""

from importlib.metadata import version
from pathlib import Path

__version__ = version("ops-pipeline")

INSTALLATION = Path(__file__).parents[1]
"""The folder from which Python imports this package."""
