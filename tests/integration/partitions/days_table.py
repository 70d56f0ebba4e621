"""The table whose days are dropped, and queries about it."""
# ruff: noqa: S608 - statements of the test itself

from collections.abc import Callable
from datetime import timedelta

import pytest

from ops_pipeline.partitions import expired
from ops_pipeline.partitions.partition import Partition
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation
from tests.integration.partitions.conftest import FIRST

NAME = '"Day\'s rows"'
COUNT = f"SELECT count(*) FROM {NAME}"
REMEMBERED = "SELECT count(*) FROM ops.detached_partitions"
Days = Callable[..., Relation]
CUTOFF = FIRST + timedelta(days=1)
both = pytest.mark.parametrize("default", [True, False], ids=["default", "no default"])


def first_day(connection: Connection, relation: Relation) -> Partition:
    (partition,) = expired.expired_partitions(connection, relation, "created_at", CUTOFF)
    return partition


def quoted_name(partition: Partition) -> str:
    return f'"{partition.schema}"."{partition.name}"'


def count_rows(partition: Partition) -> str:
    return f"SELECT count(*) FROM {quoted_name(partition)}"
