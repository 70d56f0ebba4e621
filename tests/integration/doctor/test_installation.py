"""Doctor asks about the installation: policies, archive, Dagster, webhook. Each question red and green."""

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus
from dagster_shared.error import SerializableErrorInfo
from typer.testing import CliRunner, Result

from ops_pipeline import cli
from ops_pipeline.access import keys
from ops_pipeline.access.rotation import rotate
from ops_pipeline.diagnosis import archive_mount, code_location, dagster_database, schedules
from ops_pipeline.diagnosis.examine import Answers, Diagnosed, examine_installation
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.kinds import carry_out
from ops_pipeline.orchestration import webhook
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Policies, Schedule
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import Connection
from ops_pipeline.settings import Settings
from tests.integration.conftest import POLICIES
from tests.integration.doctor.installation import beat, dagster_instance, switch, tick

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture(scope="module")
def dagster_url(server: embedded.Server) -> str:
    """A database for Dagster's tables."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as session:
        session.execute("CREATE DATABASE dagster_of_doctor")
    return server.url("dagster_of_doctor")


@pytest.fixture(scope="module")
def instance(dagster_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dagster_instance(tmp_path_factory.mktemp("home"), dagster_url) as made:
        yield made


@dataclass
class Ask:
    """Asks the questions about the installation; what is not given is as it should be."""

    settings: Settings
    policies: Policies
    location: str | None = None
    pause: Callable[[float], None] = lambda _: None
    changes: dict[str, object] = field(default_factory=dict)

    def __call__(self, *, policies: Policies | PolicyError | None = None, test: bool = False) -> Answers:
        given = self.settings.model_copy(update=self.changes)
        send = (lambda: webhook.post_test(given)) if test else None
        return examine_installation(given, policies or self.policies, send, pause=self.pause)

    def one(self, id_: str, *, test: bool = False) -> Diagnosed:
        """The only finding of that diagnosis."""
        (found,) = (each for each in self(test=test).findings if each.id == id_)
        return found


@pytest.fixture
def ask(
    url: str, dagster_url: str, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Ask:
    """An installation without a finding: a daemon has just reported, the schedule is on."""
    del instance
    file = tmp_path / "policies.yaml"
    file.write_text(POLICIES)
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    given = Settings(database_url=url, dagster_database_url=dagster_url, policies=file)
    monkeypatch.setattr(code_location, "load", lambda _: None)
    return Ask(given, kinds.load(file))


@pytest.fixture
def healthy(instance: dg.DagsterInstance) -> dg.DagsterInstance:
    beat(instance, "a")
    switch(instance, InstigatorStatus.DECLARED_IN_CODE)
    tick(instance, TickStatus.SUCCESS)
    return instance


def test_a_healthy_installation_has_no_findings(ask: Ask, healthy: dg.DagsterInstance) -> None:
    answers = ask()

    assert answers.findings == []
    assert set(answers.unasked) == {"archive_writable", "archive_mount", "webhook"}


def test_a_policies_file_that_cannot_be_read_hides_no_other_question(
    ask: Ask, healthy: dg.DagsterInstance
) -> None:
    beat(healthy, "a", seconds_ago=1000)

    answers = ask(policies=PolicyError(["policies.yaml:3: keep: is required"]))

    assert [each.id for each in answers.findings] == ["policies_file", "daemon"]
    assert "keep: is required" in answers.findings[0].problem
    assert answers.unasked["schedules"] == "policies.yaml cannot be read"


def test_a_daemon_that_is_silent_is_an_error(ask: Ask, healthy: dg.DagsterInstance) -> None:
    beat(healthy, "a", seconds_ago=1000)

    found = ask.one("daemon")

    assert found.severity == "error"
    assert "SCHEDULER (100" in found.problem
    assert found.remedies[0] == "opsctl up"


def test_a_second_daemon_is_found_by_the_next_heartbeat(ask: Ask, healthy: dg.DagsterInstance) -> None:
    pauses: list[float] = []

    def other_reports(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 20:
            beat(healthy, "b")

    beat(healthy, "a", seconds_ago=10)
    ask.pause = other_reports
    found = ask.one("one_daemon")
    assert (found.severity, len(pauses)) == ("error", 20)
    assert "2 daemons send heartbeats (a, b)" in found.problem

    pauses.clear()
    beat(healthy, "a", seconds_ago=10)
    ask.pause = lambda _: beat(healthy, "a")
    assert ask().state("one_daemon") == "ok"


def test_a_daemon_that_never_ran_is_a_warning(ask: Ask, healthy: dg.DagsterInstance) -> None:
    healthy.wipe_daemon_heartbeats()

    answers = ask()

    assert [(each.id, each.severity) for each in answers.findings] == [("daemon_started", "warning")]
    assert answers.unasked["daemon"] == "no daemon has run yet"


def test_a_schedule_that_is_off_is_an_error(ask: Ask, healthy: dg.DagsterInstance) -> None:
    switch(healthy, InstigatorStatus.STOPPED)

    found = ask.one("schedules")

    assert (found.severity, found.subject) == ("error", "nightly_app")
    assert found.remedies == ("opsctl schedule on --database app",)
    switch(healthy, InstigatorStatus.RUNNING)
    assert ask().state("schedules") == "ok"


@pytest.fixture
def opsctl(ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Runs a command on the installation."""
    monkeypatch.chdir(tmp_path)
    for name in ("DAGSTER_HOME", "OPS_POLICIES", "OPS_SCHEMA", "OPS_AUDIT_LOG_SCHEMA"):
        monkeypatch.setenv(name, "")  # restored after the command has set them
        monkeypatch.delenv(name)
    monkeypatch.setenv("OPS_DAGSTER_DATABASE_URL", ask.settings.dagster_database_url or "")
    return lambda *words: CliRunner().invoke(cli.app, list(words))


def test_status_names_what_keeps_the_next_run_from_starting_and_its_remedy_works(
    ask: Ask, connection: Connection, healthy: dg.DagsterInstance, opsctl: Callable[..., Result]
) -> None:
    del connection
    on = opsctl("status").stdout
    assert re.search(r"next run   2\d+-.* UTC, in .*; the daemon reported \d s ago\n", on), on

    switch(healthy, InstigatorStatus.STOPPED)
    off = opsctl("status")
    assert "next run   none: the schedule nightly_app is off. To turn it on: " in off.stdout
    (remedy,) = re.findall(r"opsctl (schedule on --database app)\n", off.stdout)
    assert opsctl(*remedy.split()).exit_code == 0
    assert ask().state("schedules") == "ok"
    assert "nightly_app: it is already on\n" in opsctl(*remedy.split()).stdout

    beat(healthy, "a", seconds_ago=1000)
    silent = opsctl("status").stdout
    assert re.search(
        r"next run   none: no Dagster daemon has reported since .* UTC. To start it: opsctl up\n", silent
    ), silent


def test_status_exits_with_1_for_what_keeps_the_next_run_from_starting(
    ask: Ask, application: Connection, healthy: dg.DagsterInstance, opsctl: Callable[..., Result]
) -> None:
    for _, policy in ask.policies:
        carry_out(application, policy)

    assert opsctl("status").exit_code == 0
    switch(healthy, InstigatorStatus.STOPPED)
    assert opsctl("status").exit_code == 1
    switch(healthy, InstigatorStatus.RUNNING)
    beat(healthy, "a", seconds_ago=1000)
    assert opsctl("status").exit_code == 1
    healthy.wipe_daemon_heartbeats()
    assert opsctl("status").exit_code == 0, "runs are started by opsctl run"
    (shown,) = json.loads(opsctl("status", "--json").stdout)["databases"]
    assert (shown["next_run"]["at"], shown["next_run"]["problem"]) == (None, None)


def test_a_failed_tick_is_an_error_and_a_later_success_ends_it(ask: Ask, healthy: dg.DagsterInstance) -> None:
    tick(healthy, TickStatus.FAILURE, SerializableErrorInfo("PolicyError: keep: is required\n", [], None))

    assert "failed: PolicyError: keep: is required. No run was started" in ask.one("schedules").problem

    tick(healthy, TickStatus.SUCCESS)
    assert ask().state("schedules") == "ok"


def test_a_missing_tick_is_an_error_once_it_is_late() -> None:
    nightly = Schedule("0 2 * * *", "Europe/Zurich")
    due = datetime(2026, 3, 5, 1, tzinfo=UTC)
    known = datetime(2026, 3, 1)  # noqa: DTZ001 - as Dagster stores it
    ticked = due.replace(tzinfo=None)

    def at(now: datetime, last: datetime | None, since: datetime = known) -> str | None:
        return schedules.state(nightly, now, True, since, last, "SUCCESS", None)

    assert at(due + timedelta(minutes=11), ticked) is None
    missed = at(due + timedelta(minutes=11), ticked - timedelta(days=1))
    assert missed is not None
    assert "the tick of 2026-03-05 01:00 UTC is missing (its last one was at 2026-03-04 01:00 UTC)" in missed
    assert at(due + timedelta(minutes=9), ticked - timedelta(days=1)) is None, "the daemon may be at it"
    assert at(due + timedelta(hours=1), None, ticked + timedelta(minutes=1)) is None, "it is new"


def test_a_schema_of_another_dagster_is_an_error(ask: Ask, healthy: dg.DagsterInstance) -> None:
    head, known = dagster_database.revisions()
    older = min(known - {head})
    with psycopg.connect(ask.settings.dagster_database_url or "", autocommit=True) as session:
        try:
            session.execute("UPDATE alembic_version SET version_num = %s", [older])
            assert ask.one("dagster_schema").remedies == ("dagster instance migrate",)
            session.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
            assert "a newer Dagster has upgraded it" in ask.one("dagster_schema").problem
        finally:
            session.execute("UPDATE alembic_version SET version_num = %s", [head])


def test_a_dagster_database_that_does_not_answer_is_an_error(ask: Ask) -> None:
    ask.changes = {"dagster_database_url": NOWHERE}

    answers = ask()

    assert [(each.id, each.severity) for each in answers.findings] == [("dagster_database", "error")]
    assert answers.unasked["daemon"] == "Dagster's database does not answer"


def test_a_dagster_database_that_does_not_exist_is_no_finding_unless_it_cannot_be_created(
    ask: Ask, server: embedded.Server
) -> None:
    missing = server.url("dagster_elsewhere")
    ask.changes = {"dagster_database_url": missing}
    assert ask().findings == []
    assert "does not exist yet" in ask().unasked["dagster_database"]

    with psycopg.connect(server.url("postgres"), autocommit=True) as session:
        session.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
        try:
            ask.changes = {
                "dagster_database_url": psycopg.conninfo.make_conninfo(
                    missing, user="guest", password="guest"
                )
            }
            found = ask.one("dagster_database")
        finally:
            session.execute("DROP ROLE guest")
    assert found.remedies == ('CREATE DATABASE "dagster_elsewhere" OWNER "guest";',)


def test_a_dagster_database_without_tables_is_no_finding(ask: Ask, new_database: Callable[[], str]) -> None:
    ask.changes = {"dagster_database_url": new_database()}

    answers = ask()

    assert answers.findings == []
    assert "has not run here yet" in answers.unasked["daemon"]


def test_a_code_location_that_cannot_be_loaded_is_an_error_with_the_last_line(
    url: str, tmp_path: Path
) -> None:
    file = tmp_path / "policies.yaml"
    given = Settings(database_url=url, policies=file)

    file.write_text(POLICIES.replace("keep:", "kip:"))
    assert "kip" in str(code_location.load(given))
    file.write_text(POLICIES)
    assert code_location.load(given) is None


def test_an_archive_is_written_to_read_and_left_as_it_was(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "archive"
    ask.changes = {"archive_url": str(folder)}

    assert ask().unasked["archive_writable"] == "the folder does not exist yet; the first run creates it"
    assert list(tmp_path.glob(".probe*")) == []
    folder.mkdir()
    assert ask().state("archive_writable") == "ok"
    assert list(folder.iterdir()) == []

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ops_pipeline.storage.filesystem.os.write", full)
    assert "No space left on device" in ask.one("archive_writable").problem
    ask.changes = {"archive_url": str(tmp_path / "absent")}
    absent = ask.one("archive_writable")
    assert "does not exist, and cannot be created" in absent.problem
    assert absent.remedies == (f"install -d -o {os.geteuid()} -m 750 {tmp_path}/absent",)
    file = tmp_path / "file"
    file.touch()
    ask.changes = {"archive_url": str(file)}
    assert "Not a directory" in ask.one("archive_writable").problem


def test_an_archive_on_the_root_disk_or_in_memory_is_a_warning(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask.changes = {"archive_url": str(tmp_path)}
    mounts = tmp_path / "mounts"
    monkeypatch.setattr(archive_mount, "MOUNTS", mounts)
    root = "25 30 0:23 / / rw - overlay overlay rw\n"

    mounts.write_text(root)
    found = ask.one("archive_mount")
    assert found.severity == "warning"
    assert "on the root disk (overlay)" in found.problem
    mounts.write_text(root + f"31 25 8:1 / {tmp_path} rw - tmpfs tmpfs rw\n")
    assert "is in memory" in ask.one("archive_mount").problem
    mounts.write_text(root + f"31 25 8:1 / {tmp_path} rw shared:1 - ext4 /dev/sdb rw\n")
    assert ask().state("archive_mount") == "ok"


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[dict[str, str]], list[int]]]:
    """A webhook's URL, what was posted to it, and the statuses that it answers."""
    posted: list[dict[str, str]] = []
    statuses: list[int] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(statuses.pop(0))
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/secret", posted, statuses
        listening.shutdown()


def test_a_key_that_expires_soon_is_a_warning_until_it_is_rotated(
    ask: Ask, healthy: dg.DagsterInstance, connection: Connection
) -> None:
    keys.create(connection, "soon", ["audit:read"])
    assert ask().state("keys_expiring") == "ok"
    connection.execute(
        "UPDATE ops.api_keys "
        "SET created_at = now() - interval '1 year', expires_at = now() + interval '9 days'"
    )

    found = ask.one("keys_expiring")

    assert found.severity == "warning"
    assert "key soon expires at" in found.problem
    (remedy,) = found.remedies
    rotate(connection, remedy.removeprefix("opsctl keys rotate "), timedelta(days=7), None)
    assert ask().state("keys_expiring") == "ok"


@pytest.mark.parametrize("changed", ["DROP TABLE ops.api_keys", "nowhere"])
def test_keys_that_cannot_be_read_are_no_finding(
    ask: Ask, healthy: dg.DagsterInstance, connection: Connection, changed: str
) -> None:
    if changed == "nowhere":
        ask.changes["database_url"] = NOWHERE
    else:
        connection.execute(changed)

    answers = ask()

    assert "OPS_DATABASE_URL" in answers.unasked["keys_expiring"]


def test_a_test_message_is_sent_only_when_it_is_asked_for(
    ask: Ask, receiver: tuple[str, list[dict[str, str]], list[int]]
) -> None:
    url, posted, statuses = receiver
    ask.changes = {"webhook_url": url}

    assert ask().unasked["webhook"] == "to post a test message: opsctl doctor --send-test"
    assert posted == []
    statuses += [200, 302, 500, 404]
    assert ask(test=True).state("webhook") == "ok"
    assert posted[0]["event"] == "test"
    for status in (302, 500, 404):
        found = ask.one("webhook", test=True)
        assert str(status) in found.problem
        assert "secret" not in found.problem
    ask.changes = {"webhook_url": "http://127.0.0.1:1/secret"}
    assert "does not answer (ConnectError)" in ask.one("webhook", test=True).problem
