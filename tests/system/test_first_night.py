"""From `createdb` to the first good night on Debian's PostgreSQL 15, with the README's own commands."""

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import connect, scalar
from tests.other_postgresql import programs_in
from tests.system.conftest import PROGRAMS, REPOSITORY

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
MINUTES = 10
# As in many applications, no foreign key refers to logins: deleting one leaves its devices behind.
TABLES = """
CREATE SCHEMA store;
CREATE TABLE store.logins (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, login_at timestamptz NOT NULL, agent text);
CREATE TABLE store.devices (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, login_id bigint, fingerprint text NOT NULL);
CREATE INDEX ON store.devices (login_id);
CREATE TABLE public.clicks (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, page jsonb NOT NULL);
INSERT INTO store.logins (login_at, agent)
SELECT now() - make_interval(hours => n), 'agent ' || n FROM generate_series(1, 3000) AS n;
INSERT INTO store.devices (login_id, fingerprint)
SELECT 1 + n % 3000, md5(n::text) FROM generate_series(1, 9000) AS n;
INSERT INTO public.clicks (at, page)
SELECT now() - make_interval(hours => n), '{"path": "/"}' FROM generate_series(1, 3000) AS n;
"""
POLICIES = """
version: 1
schedule: {cron: "0 2 * * *", timezone: UTC}
databases:
  store:
    url: ${OPS_DATABASE_URL}
    retention:
      - {table: store.logins, column: login_at, keep: 30 days}
      - {table: clicks, column: at, keep: 90 days, archive: true}
    orphans:
      - {table: store.devices, column: login_id, references: store.logins.id, grace_period: 1 second}
    vacuum: {tables: all, analyze: true}
    guard: {max_fraction: 0.5}
"""
KEPT = """
SELECT (SELECT count(*) FROM store.logins WHERE login_at < now() - interval '30 days')
     + (SELECT count(*) FROM store.devices d
        WHERE NOT EXISTS (SELECT FROM store.logins l WHERE l.id = d.login_id))
     + (SELECT count(*) FROM clicks WHERE at < now() - interval '90 days')
"""


@pytest.fixture
def debian(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """The URL of a database on Debian's PostgreSQL 15."""
    if not DEBIAN_15.is_dir():
        pytest.skip(f"{DEBIAN_15} does not exist: apt-get install postgresql-15")
    with programs_in(DEBIAN_15), embedded.running(tmp_path / "server") as server:
        yield server.url


@pytest.mark.prove
def test_the_first_night_is_one_plan_one_approval_and_one_run(
    debian: Callable[[str], str], tmp_path: Path
) -> None:
    begun = time.monotonic()
    subprocess.run([DEBIAN_15 / "createdb", "--maintenance-db", debian("postgres"), "store"], check=True)
    with connect(debian("store"), "the application") as store:
        store.execute(TABLES)
    (tmp_path / "policies.yaml").write_text(POLICIES)
    environment = os.environ | {
        "OPS_DATABASE_URL": debian("store"),
        "OPS_ARCHIVE_URL": str(tmp_path / "archive"),
    }

    exits = {}
    for command in _commands():
        program = str(PROGRAMS / "opsctl")
        done = subprocess.run(
            [program, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        exits[" ".join(command)] = done.returncode
        assert "Traceback" not in done.stderr, done.stderr
    seconds = time.monotonic() - begun

    assert exits == {"migrate": 0, "doctor": 0, "plan": 3, "approve --all": 0, "run": 0}
    with connect(debian("store"), "test") as store:
        assert scalar(store, KEPT) == 0
        assert scalar(store, "SELECT count(*) FROM ops.plans WHERE approved_at IS NULL") == 0
        outcomes = "SELECT array_agg(outcome || ' ' || policy ORDER BY id) FROM ops.maintenance_runs"
        assert [each.partition(" ")[0] for each in scalar(store, outcomes)] == ["done"] * 4
    status = subprocess.run(
        [str(PROGRAMS / "opsctl"), "plan", "--json"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert status.returncode == 0, "the next night needs nobody"
    assert all(not each["needs_approval"] for each in json.loads(status.stdout)["policies"])
    assert seconds < 60 * MINUTES


def _commands() -> list[list[str]]:
    """The arguments of `opsctl` in the README's last step, in order."""
    readme = (REPOSITORY / "README.md").read_text()
    step = readme.split("3. Create the tables of Ops Pipeline")[1].split("\n\n")[1]
    lines = [re.sub(r"\s+#.*", "", line) for line in step.splitlines()]
    return [shlex.split(line.removeprefix("       .venv/bin/opsctl ")) for line in lines]
