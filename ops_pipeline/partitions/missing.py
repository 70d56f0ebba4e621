"""Days that are about to begin and have no partition yet."""

from datetime import UTC, date, datetime, timedelta

from ops_pipeline.partitions.gaps import gaps
from ops_pipeline.partitions.partition import existing
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.postgres.relation import Relation


def ahead(connection: Connection, table: Relation, days: int) -> list[date]:
    """Of today and so many days to come (UTC), those of which some moment has no partition. Reads only."""
    today = datetime.now(UTC).date()
    found = gaps(existing(connection, table), today, today + timedelta(days=days))
    return sorted({each.lower.date() for each in found})
