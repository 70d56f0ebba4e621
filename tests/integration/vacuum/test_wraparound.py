"""A table aged as in a year of heavy use is frozen before all others."""

import os
import subprocess
from pathlib import Path

import psycopg
import pytest

from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.vacuum import checks
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import connect, scalar
from ops_pipeline.postgres.migrations import migrate
from tests.other_postgresql import program

SPENT = 150_000_000
"""Transactions: by default autovacuum freezes a table at 200 million, the vacuum policy at half of that."""
XIDS_OF_A_SEGMENT = 32 * 8192 * 4
"""The number of transactions in one file of pg_xact: 32 pages, two bits each (`clog.c`)."""


@pytest.mark.prove
def test_a_table_150_million_transactions_old_comes_first(tmp_path: Path, everything: Vacuum) -> None:
    with embedded.running(tmp_path) as server:
        migrate(server.url("app"))
        with psycopg.connect(server.url("app"), autocommit=True) as session:
            for name in ("zz_old", "busy"):
                session.execute(f"CREATE TABLE {name} (n int) WITH (autovacuum_enabled = false)")
                session.execute(f"INSERT INTO {name} SELECT generate_series(1, 10000)")
            began = scalar(session, "SELECT pg_current_xact_id()::text::bigint")
    _spend(tmp_path / "data", began + SPENT)

    with embedded.running(tmp_path) as server, connect(server.url("app"), "test") as session:
        tables = (
            "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'm') AND relname <> 'zz_old'"
        )
        for (name,) in session.execute(tables).fetchall():
            session.execute(f"VACUUM (FREEZE) {name}")
        session.execute("DELETE FROM busy")
        before = checks.oldest_table(session, everything)

        result = carry_out(session, everything)

        first, *others = result.details["tables"]
        assert before is not None
        assert (str(before), before.age >= SPENT) == ("public.zz_old", True)
        assert (first["table"], first["action"]) == ("public.zz_old", "freeze")
        assert first["age_before"] >= SPENT
        assert first["age_after"] < 10_000
        assert f"autovacuum must freeze it at {before.age_limit:,}" in first["reason"]
        assert "public.busy" in {each["table"] for each in others}
        assert scalar(session, "SELECT count(*) FROM zz_old") == 10_000
        assert scalar(session, DATABASES_AGE) < 10_000, "datfrozenxid of the whole database follows"


DATABASES_AGE = "SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()"


def _spend(data: Path, next_transaction: int) -> None:
    """Moves a stopped server's next transaction id to the beginning of an empty file of pg_xact."""
    segment = next_transaction // XIDS_OF_A_SEGMENT + 1
    (data / "pg_xact" / f"{segment:04X}").write_bytes(bytes(32 * 8192))
    as_other_user = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
    xid = str(segment * XIDS_OF_A_SEGMENT)
    command = [*as_other_user, program("pg_resetwal"), "--next-transaction-id", xid, "--pgdata", str(data)]
    subprocess.run(command, check=True, capture_output=True)
