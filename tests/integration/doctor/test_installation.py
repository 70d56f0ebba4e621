"""Doctor asks about the installation: policies, archive, Dagster, webhook. Each question red and green."""

import json
import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import pytest

from ops_pipeline.access import keys
from ops_pipeline.access.rotation import rotate
from ops_pipeline.diagnosis import archive_mount
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.postgres.connection import Connection
from tests.integration.doctor.installation import NOWHERE, Ask, beat


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
