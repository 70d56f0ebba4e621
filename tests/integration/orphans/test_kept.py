"""Orphans on hold are kept and deleted orphans are archived, by a sweep and by the record alike."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ops_pipeline.holds import holds
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.orphans import triggers
from ops_pipeline.maintenance.orphans.plan import plan_orphans
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import Planning
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings

FILL = """
CREATE INDEX ON memories (session_id);
INSERT INTO memories (session_id) SELECT id FROM sessions;
INSERT INTO memories (session_id, content)
SELECT md5('gone' || n)::uuid, CASE WHEN n % 10 = 0 THEN 'evidence' ELSE 'any' END
FROM generate_series(1, 700) AS n;
"""
PARENTS = """
INSERT INTO sessions (id, note) SELECT md5('gone' || n)::uuid, 'gone' FROM generate_series(1, 700) AS n
"""
LEFT = """
SELECT count(*) FILTER (WHERE content = 'any'), count(*) FILTER (WHERE content = 'evidence'), count(*)
FROM memories
"""


def _ids(connection: Connection, where: str = "true") -> set[str]:
    return {str(each) for (each,) in connection.execute(f"SELECT id FROM memories WHERE {where}")}  # noqa: S608 - ours


def _archived(folder: Path) -> list[str]:
    files = sorted(folder.rglob("part-*.parquet"))
    return [value for file in files for value in pq.read_table(file).column("id").to_pylist()]


@pytest.mark.parametrize(("source", "indexed"), [("sweep", True), ("sweep", False), ("record", True)])
def test_archived_rows_are_the_deleted_rows_and_rows_on_hold_are_kept(
    application: Connection,
    policies_of: Callable[[str], list[Orphans]],
    tmp_path: Path,
    small_batches: None,
    source: str,
    indexed: bool,
) -> None:
    track = str(source == "record").lower()
    (policy,) = policies_of(
        "{table: memories, column: session_id, references: sessions.id, grace_period: 0 seconds,"
        f" archive: true, track: {track}}}"
    )
    settings = Settings().model_copy(update={"archive_url": str(tmp_path / "archive")})
    application.execute(FILL)
    if not indexed:
        application.execute("DROP INDEX memories_session_id_idx")
    if source == "record":
        application.execute(PARENTS)
        triggers.install(application, policy, by="test")
        assert carry_out(application, policy, settings=settings).removed == 0
        application.execute("DELETE FROM sessions WHERE note = 'gone'")
    holds.add(application, "memories", "content = evidence", reason="a lawsuit", owner="legal", by="test")
    doomed, before = _ids(application, "content = 'any'"), _ids(application)

    result = carry_out(application, policy, settings=settings)

    assert (result.outcome, result.removed, result.archived, result.remaining) == ("done", 630, 630, 0)
    assert result.details["source"] == source
    assert application.execute(LEFT).fetchone() == (0, 70, 6070)
    archived = _archived(tmp_path / "archive")
    assert len(archived) == len(set(archived)), "each row once"
    assert set(archived) == doomed == before - _ids(application)


def test_a_released_orphan_is_deleted_and_the_plan_counts_both(
    application: Connection, orphans: Orphans
) -> None:
    application.execute(FILL)
    held = holds.add(application, "memories", "content = evidence", reason="x", owner="legal", by="test")
    planned = plan_orphans(Planning(application, 60), orphans)
    assert (planned.rows.eligible, planned.rows.on_hold) == (630, 70)
    assert carry_out(application, orphans).removed == 630

    holds.release(application, held.id, by="test")

    assert carry_out(application, orphans).removed == 70
    assert scalar(application, "SELECT count(*) FROM memories") == 6000
