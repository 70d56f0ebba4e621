"""Keeps a PostgreSQL application clean, accountable and observable."""

from importlib.metadata import version

__version__ = version("ops-pipeline")
