"""`opsctl track` alone creates and drops triggers, and the plan shows what it would do."""

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ops_pipeline import cli
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.postgres import locks
from ops_pipeline.postgres.connection import Connection, connect, scalar

POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    guard: {max_fraction: 1}
    orphans:
      - {table: memories, column: session_id, references: sessions.id, grace_period: 0 seconds, track: TRACK}
"""
POLICY = "app/orphans/memories.session_id"
OURS = "SELECT count(*) FROM pg_trigger WHERE tgfoid = 'ops.record_deleted_parents'::regproc"
Opsctl = Callable[..., tuple[int, str, str]]


@pytest.fixture
def opsctl(
    url: str,
    application: Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Opsctl]:
    """Runs `opsctl`: exit code, standard output and error."""
    application.execute("CREATE INDEX ON memories (session_id)")
    application.execute("INSERT INTO memories (session_id) SELECT id FROM sessions")
    (tmp_path / "policies.yaml").write_text(POLICIES.replace("TRACK", "true"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["opsctl", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _advice(opsctl: Opsctl) -> str:
    code, out, err = opsctl("plan", "--json")
    assert code == 0, err
    (planned,) = json.loads(out)["policies"]
    return " ".join(planned["advice"])


def test_the_plan_shows_what_it_would_install_and_installs_nothing(
    opsctl: Opsctl, application: Connection
) -> None:
    advice = _advice(opsctl)

    assert "deleted keys of public.sessions are not recorded" in advice
    assert f"opsctl track install {POLICY}" in advice
    assert scalar(application, OURS) == 0


def test_triggers_are_installed_listed_and_removed(
    opsctl: Opsctl, application: Connection, tmp_path: Path
) -> None:
    code, out, err = opsctl("track", "install", POLICY, "--json")
    assert (code, err) == (0, "")
    made = json.loads(out)["triggers"]
    assert [trigger["table"] for trigger in made] == ["public.sessions"] * 3
    assert scalar(application, OURS) == 3
    assert opsctl("track", "install", POLICY)[0] == 0, "again puts right what is there"
    assert scalar(application, OURS) == 3

    listed = json.loads(opsctl("track", "list", "--json")[1])
    assert sorted(trigger["name"] for trigger in listed["triggers"]) == sorted(
        trigger["name"] for trigger in made
    )
    assert listed["missing"] == {POLICY: []}
    assert "opsctl track list" in _advice(opsctl)

    application.execute("ALTER TABLE sessions DISABLE TRIGGER USER")
    assert f"missing or disabled on public.sessions. To fix it: opsctl track install {POLICY}" in " ".join(
        opsctl("track", "list")[1].split()
    )
    assert f"opsctl track install {POLICY}" in _advice(opsctl)

    (tmp_path / "policies.yaml").write_text(POLICIES.replace("TRACK", "false"))
    assert f"opsctl track remove {POLICY}" in _advice(opsctl), (
        "triggers that the policy no longer asks for are reported"
    )
    code, out, _ = opsctl("track", "remove", POLICY)
    assert (code, "Triggers removed: 3" in out) == (0, True)
    assert (scalar(application, OURS), _advice(opsctl)) == (0, "")
    noted = application.execute(
        "SELECT action FROM audit_logs WHERE action LIKE 'track.%' ORDER BY created_at, id"
    ).fetchall()
    assert sorted(noted) == [("track.installed",), ("track.installed",), ("track.removed",)]


def test_a_run_installs_no_trigger_and_sweeps(
    opsctl: Opsctl, application: Connection, orphans: Orphans
) -> None:
    result = carry_out(application, replace(orphans, track=True))

    assert (result.outcome, result.details["source"]) == ("done", "sweep")
    assert f"opsctl track install {POLICY}" in result.details["source_reason"]
    assert scalar(application, OURS) == 0


def test_a_mistake_is_reported_and_changes_nothing(
    opsctl: Opsctl, application: Connection, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TRIES", 2)
    code, _, said = opsctl("track", "install", "app/orphans/memoirs")
    assert (code, POLICY in said, "Nothing was changed" in said) == (2, True, True)

    with connect(url, "a long import") as other:
        other.execute("BEGIN")
        other.execute("UPDATE sessions SET note = ''")
        code, _, said = opsctl("track", "install", POLICY)
        assert (code, scalar(application, OURS)) == (1, 0)
        assert "Creating triggers on public.sessions" in said
        assert f"pid {other.info.backend_pid} (a long import)" in said

    (tmp_path / "policies.yaml").write_text(POLICIES.replace("TRACK", "false"))
    code, _, said = opsctl("track", "install", POLICY)
    assert (code, "track: true" in said) == (2, True)
    assert scalar(application, OURS) == 0
