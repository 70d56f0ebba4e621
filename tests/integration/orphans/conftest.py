"""Orphans policies, and time that passes."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection

Read = Callable[..., Database]


def an_hour_later(connection: Connection) -> None:
    """Moves the times of all marks and records more than an hour back."""
    connection.execute("UPDATE ops.missing_parents SET since = since - interval '61 minutes'")
    connection.execute("UPDATE ops.orphan_clock SET at = at - interval '61 minutes'")


@pytest.fixture
def patient(orphans: Orphans) -> Orphans:
    """The same policy with the default grace period of an hour."""
    return replace(orphans, grace_period=timedelta(hours=1))


@pytest.fixture
def policies_of(read: Read) -> Callable[[str], list[Orphans]]:
    """Reads orphans policies from text, with a guard that allows everything."""

    def load(text: str) -> list[Orphans]:
        database = read(
            "version: 1\ndatabases: {app: {url: x, guard: {max_fraction: 1}, orphans: [" + text + "]}}"
        )
        return [policy for policy in database.policies if isinstance(policy, Orphans)]

    return load
