"""A 503 says its true reason, and whether something was stored."""

import asyncio

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from api.db import outage
from api.db.pool import Pool
from ops_pipeline.postgres.connection import Connection
from tests.integration.api.conftest import Client, Headers

REFUSING = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file "base/1/2"' USING ERRCODE = '{state}'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION refuse();
"""


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("53100", "The database has no disk space left."),
        ("53200", "The database has no memory left, or no room in its table of locks."),
        ("57P03", "The database is starting or shutting down."),
        ("58030", "The database's server has failed to read or write a file."),
    ],
)
def test_what_postgresql_refuses_is_answered_with_the_reason(
    client: Client, admin: Headers, connection: Connection, state: str, reason: str
) -> None:
    connection.execute(REFUSING.format(state=state))

    stored = client.post("/api/audit-logs", headers=admin, json={"eventType": "made"})
    read = client.get("/api/admin/audit-logs", headers=admin)

    assert (stored.status_code, stored.json()["detail"]) == (503, f"{reason} Nothing was stored; try again.")
    assert read.status_code == 503
    assert "cannot be recorded in the audit log" in read.json()["detail"]
    assert reason in read.json()["detail"]
    assert "base/1/2" not in stored.text + read.text


async def _asked(pool: Pool, *, while_in_use: bool) -> str:
    async with pool:
        if not while_in_use:
            return await _reason(pool)
        async with pool.connection():
            return await _reason(pool)


async def _reason(pool: Pool) -> str:
    with pytest.raises(PoolTimeout) as raised:
        await pool.rows("select", "SELECT 1")
    return outage.reason(raised.value)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.db.pool.WAIT_SECONDS", 1.0)


@pytest.mark.usefixtures("soon")
def test_connections_in_use_are_no_unreachable_database(url: str) -> None:
    busy = Pool(url, lambda *_: None, max_size=1, purpose="exports")
    away = Pool("postgresql://nobody@127.0.0.1:1/none", lambda *_: None, max_size=1)

    in_use = "All 1 of the API's database connections for exports are in use."
    assert asyncio.run(_asked(busy, while_in_use=True)) == in_use
    assert asyncio.run(_asked(away, while_in_use=False)) == outage.NO_ANSWER


def test_an_error_without_a_state_is_a_database_that_does_not_answer() -> None:
    assert outage.reason(psycopg.OperationalError("the connection is lost")) == outage.NO_ANSWER
