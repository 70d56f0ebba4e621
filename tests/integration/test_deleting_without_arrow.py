"""A run that only deletes does not load Arrow, which takes half a second and 100 MB."""

import subprocess
import sys
from pathlib import Path

import pytest

from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.conftest import POLICIES

RUN = """
import sys
from pathlib import Path
from ops_pipeline.maintenance import kinds
from ops_pipeline.postgres.connection import connect

(database,) = kinds.load(Path(sys.argv[1])).databases
with connect(sys.argv[2], "test") as connection:
    print(*(kinds.carry_out(connection, policy).outcome for policy in database.policies))
print(sorted(name for name in sys.modules if name.partition(".")[0] in {"pyarrow", "adbc_driver_postgresql"}))
"""


@pytest.mark.parametrize("partition", ["", ", partition: day"])
def test_a_run_without_archive_loads_no_arrow(
    connection: Connection, url: str, tmp_path: Path, partition: str
) -> None:
    connection.execute(
        "CREATE TABLE sessions (id uuid, created_at timestamptz) PARTITION BY RANGE (created_at)"
    )
    connection.execute(
        "CREATE TABLE old PARTITION OF sessions FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')"
    )
    connection.execute(
        "CREATE TABLE rest PARTITION OF sessions DEFAULT; CREATE TABLE memories (session_id uuid)"
    )
    connection.execute("INSERT INTO sessions VALUES (gen_random_uuid(), '2020-06-01'), (NULL, '2022-06-01')")
    connection.execute("INSERT INTO memories VALUES (gen_random_uuid())")
    policies = tmp_path / "policies.yaml"
    limits = "    guard: {max_fraction: 1}\n    retention:"
    policies.write_text(
        POLICIES.replace("    retention:", limits).replace("keep: 30 days", f"keep: 30 days{partition}")
    )

    command = [sys.executable, "-c", RUN, str(policies), url]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines() == ["done done done", "[]"]
    assert scalar(connection, "SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM memories)") == 0
