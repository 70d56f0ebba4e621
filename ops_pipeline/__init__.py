"""Retention, orphan cleanup, VACUUM, archive and audit log for PostgreSQL, run by Dagster."""

from importlib.metadata import version

__version__ = version("ops-pipeline")
