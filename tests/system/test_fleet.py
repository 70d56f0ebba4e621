"""Many databases: each has its own nightly run, and an unreachable one fails alone, by name."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import connect, scalar
from tests.system.conftest import PROGRAMS

FILL = """
CREATE TABLE sessions (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), created_at timestamptz);
INSERT INTO sessions (created_at)
SELECT now() - make_interval(days => day) - interval '1 minute' FROM generate_series(0, 59) AS day;
"""
SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3); RETURN NULL; END $$;
CREATE TRIGGER slow AFTER DELETE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION slow();
"""
VACUUM_IS_LAST = """
SELECT vacuum.started_at > other.finished_at
FROM ops.maintenance_runs vacuum CROSS JOIN ops.maintenance_runs other
WHERE vacuum.policy = 'db00/vacuum' AND other.policy = 'db00/retention/sessions'
"""
LOAD = (
    "import dagster as dg; from ops_pipeline.definitions import defs; dg.Definitions.validate_loadable(defs);"
    "print(len(defs.resolve_all_asset_specs()))"
)
AWAY = "postgresql://nobody@127.0.0.1:1/away"


@dataclass(frozen=True)
class Fleet:
    folder: Path
    environment: dict[str, str]
    urls: dict[str, str]

    def opsctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PROGRAMS / "opsctl"), *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(params=[2, pytest.param(50, marks=pytest.mark.prove)])
def fleet(
    request: pytest.FixtureRequest, new_database: Callable[..., str], template: str, tmp_path: Path
) -> Fleet:
    """Many databases, of which `away` does not answer."""
    urls = {f"db{number:02}": new_database(template) for number in range(request.param)}
    for url in urls.values():
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(FILL)
    (tmp_path / "policies.yaml").write_text(_policies({**urls, "away": AWAY}))
    environment = os.environ | {
        "OPS_DATABASE_URL": urls["db00"],
        "OPS_DAGSTER_DATABASE_URL": new_database(),
    }
    return Fleet(tmp_path, environment, urls)


@pytest.mark.prove
def test_one_unreachable_database_fails_alone_and_connections_stay_few(
    fleet: Fleet, server: embedded.Server
) -> None:
    with _most_connections(server, fleet) as most:
        done = fleet.opsctl("run", "--json")

    assert done.returncode == 1
    policies = {each["policy"]: each for each in json.loads(done.stdout)["policies"]}
    assert policies.pop("away/retention/sessions")["outcome"] == "skipped"
    assert policies.pop("away/vacuum")["outcome"] == "skipped"
    assert {each["outcome"] for each in policies.values()} == {"done"}
    for url in fleet.urls.values():
        with connect(url, "test") as connection:
            assert scalar(connection, "SELECT count(*) FROM sessions") == 30
    shown = fleet.opsctl("plan")
    assert shown.returncode == 1
    assert "away/retention/sessions, away/vacuum cannot be planned: Database 'away' at" in shown.stderr
    assert shown.stderr.count("no connection was made") == 1
    # Two steps at a time, each with possibly a second connection for the archive.
    assert 1 <= most[0] <= 4


@pytest.mark.prove
def test_a_run_continues_without_the_policy_whose_table_is_missing(fleet: Fleet) -> None:
    file, url = fleet.folder / "policies.yaml", fleet.urls["db00"]
    missing = "    retention:\n      - {table: missing, column: at, keep: 1 day}\n      - {table: sessions"
    one = _policies({"db00": url}).replace("    retention: [{table: sessions", missing).replace("}]", "}", 1)
    file.write_text(one)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SLOW)

    done = fleet.opsctl("run", "--json")

    assert done.returncode == 1, done.stderr
    with psycopg.connect(url) as connection:
        assert connection.execute(VACUUM_IS_LAST).fetchone() == (True,)
    outcomes = {each["policy"]: each["outcome"] for each in json.loads(done.stdout)["policies"]}
    assert outcomes == {
        "db00/retention/missing": "skipped", "db00/retention/sessions": "done", "db00/vacuum": "done"
    }  # fmt: skip
    file.write_text(one.replace(url, AWAY))
    assert "no connection was made" in fleet.opsctl("run").stderr, "none answers, so no run begins"


def test_every_database_is_migrated_by_itself(fleet: Fleet, new_database: Callable[..., str]) -> None:
    url = fleet.urls["db01"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA ops CASCADE; DROP TABLE audit_logs")

    done = fleet.opsctl("migrate", "--json")

    assert done.returncode == 1
    migrated = {each["database"]: each for each in json.loads(done.stdout)["databases"]}
    assert "no connection was made" in migrated.pop("away")["failed"]
    assert set(migrated) == set(fleet.urls)
    assert "0001_audit_log" in migrated["db01"]["applied"]
    assert migrated["db00"]["applied"] == []
    assert "away was not migrated" in done.stderr


def test_the_fleet_is_loaded_within_ten_seconds(fleet: Fleet) -> None:
    began = time.monotonic()
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=fleet.folder,
        env=fleet.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = time.monotonic() - began

    assert int(loaded.stdout) >= 2 * (len(fleet.urls) + 1)
    print(f"{len(fleet.urls) + 1} databases loaded in {seconds:.1f} s")  # noqa: T201 - for docs/proofs.md
    if len(fleet.urls) == 50:  # the promise; with fewer it would say nothing
        assert seconds < 10


def _policies(urls: Mapping[str, str]) -> str:
    lines = ["version: 1", "databases:"]
    for name, url in urls.items():
        lines += [
            f"  {name}:",
            f"    url: {url}",
            "    retention: [{table: sessions, column: created_at, keep: 30 days}]",
            "    vacuum: {tables: [sessions]}",
        ]
    return "\n".join(lines)


@contextmanager
def _most_connections(server: embedded.Server, fleet: Fleet) -> Iterator[list[int]]:
    """The largest number of our sessions at the same time in the fleet's databases."""
    most = [0]
    ended = threading.Event()
    names = [url.rsplit("/", 1)[1] for url in fleet.urls.values()]
    count = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = ANY (%s) AND application_name LIKE 'ops %%'"
    )

    def watch() -> None:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            while not ended.wait(0.02):
                row = connection.execute(count, [names]).fetchone()
                most[0] = max(most[0], row[0] if row else 0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        ended.set()
        watcher.join()
