"""`opsctl hold` and `opsctl approve` in a terminal, for a person and for a script."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops_pipeline import cli
from ops_pipeline.audit.person import person
from ops_pipeline.maintenance.guard import approvals
from ops_pipeline.postgres.connection import Connection, scalar

Run = Callable[..., "Ended"]
POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention: [{table: sessions, column: created_at, keep: 30 days}]
  other:
    url: postgresql://nobody@127.0.0.1:1/other
    retention: [{table: things, column: created_at, keep: 30 days}]
"""


@dataclass(frozen=True)
class Ended:
    """Exit code and output of a command."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def opsctl(
    url: str,
    connection: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Run]:
    """Runs `opsctl`, in this process, over a database with ten sessions, nine of them expired."""
    connection.execute(
        "CREATE TABLE sessions (id int PRIMARY KEY, created_at timestamptz);"
        "INSERT INTO sessions SELECT n, now() - n * interval '20 days' FROM generate_series(1, 10) AS n"
    )
    (tmp_path / "policies.yaml").write_text(POLICIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPS_DATABASE_URL", url)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["opsctl", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    handlers = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    yield run
    for each, handler in handlers.items():
        signal.signal(each, handler)


def test_a_hold_is_added_listed_and_released(opsctl: Run) -> None:
    said = ("--reason", "case 12", "--owner", "legal", "--until", "90d", "--database", "app")
    wrong = opsctl("hold", "add", "--table", "sessions", "--where", "idd = 4", *said)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert 'where: character 1: public.sessions has no column "idd"; did you mean "id"?' in wrong.stderr

    added = opsctl(
        "hold", "add", "--table", "sessions", "--where", "id = 4", *said, "--until", "90d", "--json"
    )
    assert added.returncode == 0, added.stderr
    hold = json.loads(added.stdout)
    assert (hold["where"], hold["rows"], hold["state"]) == ("id = 4", 1, "active")
    assert hold["created_by"] == person()

    planned = opsctl("plan", "--json")
    assert planned.returncode == 1, "the other database does not answer"
    here, there = json.loads(planned.stdout)["policies"]
    assert (here["rows"]["eligible"], here["rows"]["on_hold"], here["rows"]["total"]) == (8, 1, 10)
    assert here["needs_approval"] == [
        "this run would delete 8 of 10 rows of sessions (80%, guard.max_fraction is 50%)"
    ]
    assert there["policy"] == "other/retention/things"
    assert "rows" not in there
    assert "no connection was made" in there["problem"]
    assert "other/retention/things cannot be planned: " in planned.stderr

    assert "case 12" in opsctl("hold", "list").stdout
    released = opsctl("hold", "release", str(hold["id"]), "--by", "ann", "--database", "app", "--json")
    assert json.loads(released.stdout)["released_by"] == f"{person()} on behalf of ann"
    again = opsctl("hold", "release", str(hold["id"]), "--database", "app")
    assert again.returncode == 2
    assert "was already released" in again.stderr


def test_a_hold_whose_table_was_replaced_is_listed_as_such_and_confirmed(
    opsctl: Run, connection: Connection
) -> None:
    added = opsctl(
        "hold", "add", "--table", "sessions", "--where", "id = 4", "--reason", "x", "--owner", "y",
        "--database", "app", "--json",
    )  # fmt: skip
    hold_id = str(json.loads(added.stdout)["id"])
    connection.execute("ALTER TABLE sessions RENAME TO old; CREATE TABLE sessions AS SELECT * FROM old")

    planned = opsctl("plan", "--json")
    command = f"opsctl hold confirm {hold_id} --table public.old --database app"
    assert command in json.loads(planned.stdout)["policies"][0]["problem"]
    assert command in opsctl("hold", "list").stdout
    (listed,) = json.loads(opsctl("hold", "list", "--json").stdout)["holds"]
    assert (listed["state"], command in listed["problem"]) == ("unclear", True)

    confirmed = opsctl(*command.split()[1:], "--by", "ann", "--json")
    assert confirmed.returncode == 0, confirmed.stderr
    assert json.loads(confirmed.stdout)["table"] == "public.old"
    shown = opsctl("hold", "confirm", hold_id, "--table", "sessions", "--database", "app")
    assert "on public.sessions where id = 4" in shown.stdout
    assert "covers 1 row now" in shown.stdout


def test_a_plan_is_shown_and_approved(opsctl: Run, connection: Connection) -> None:
    kept = {
        "policy": "app/retention/sessions", "definition": {}, "cutoff": "2026-01-01",
        "worker_clock": "2026-02-01", "eligible": 9, "total": 10, "fraction": 0.9, "exact": True,
        "reasons": ["too many"], "cascaded": 0, "follows": None,
    }  # fmt: skip
    plan = approvals.store(connection, kept)

    shown = opsctl("approve", "--database", "app")
    assert plan.id in shown.stdout
    assert "too many" in shown.stdout

    approved = opsctl("approve", plan.id, "--by", "ann", "--database", "app", "--json")
    assert approved.returncode == 0, approved.stderr
    assert json.loads(approved.stdout)["approved_by"] == f"{person()} on behalf of ann"
    assert scalar(connection, "SELECT approved_by FROM ops.plans") == f"{person()} on behalf of ann"
    assert json.loads(opsctl("approve", "--database", "app", "--json").stdout) == {
        "plans": [], "unavailable": [],
    }  # fmt: skip
    unknown = opsctl("approve", "00000000", "--database", "app")
    assert unknown.returncode == 2
    assert 'Plan "00000000" does not exist' in unknown.stderr
    misnamed = opsctl("approve", "--database", "ap")
    assert misnamed.returncode == 2
    assert 'did you mean "app"?' in misnamed.stderr
