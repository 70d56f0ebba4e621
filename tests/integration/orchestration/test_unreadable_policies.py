"""A policies file that cannot be used loads no definitions, and is reported once."""

import importlib
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ops_pipeline import settings
from ops_pipeline.orchestration import delivery, unreadable_policies
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.postgres.connection import Connection
from tests.integration.orchestration.conftest import POLICIES
from tests.integration.orchestration.receiver import SECRET, Receiver

EVENTS = (
    "SELECT details ->> 'headline', details -> 'problems' FROM audit_logs"
    " WHERE action = 'policies.unreadable'"
)
TYPO = POLICIES.replace("keep: 30 days", "keeep: 30 days")
HEADLINE = "No nightly run starts: policies.yaml cannot be used"

Load = Callable[[], None]


@pytest.fixture
def file(tmp_path: Path, url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The policies file of the environment, in which `keep` is misspelled."""
    file = tmp_path / "policies.yaml"
    file.write_text(TYPO)
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    monkeypatch.setenv("OPS_POLICIES", str(file))
    return file


def _load() -> None:
    """Loads Dagster's entry point as a code server does."""
    sys.modules.pop("ops_pipeline.definitions", None)
    importlib.import_module("ops_pipeline.definitions")


def test_a_typo_loads_no_definitions_and_is_reported_once(
    file: Path, connection: Connection, receiver: Receiver
) -> None:
    for _ in range(3):
        with pytest.raises(PolicyError, match=r"keeep.*keep"):
            _load()

    (message,) = receiver.got
    assert (message["event"], message["headline"]) == ("maintenance_policies_unreadable", HEADLINE)
    assert message["policies_file"] == str(file)
    (problem,) = message["problems"]
    assert f"{file}:6" in problem
    assert "keeep" in problem
    assert message["locations_url"] == "http://127.0.0.1:3000/locations"
    assert connection.execute(EVENTS).fetchall() == [(HEADLINE, [problem])]


def test_a_file_that_is_gone_is_reported(file: Path, receiver: Receiver) -> None:
    file.unlink()

    with pytest.raises(PolicyError, match="cannot be read"):
        _load()

    (message,) = receiver.got
    assert "No such file" in message["problems"][0]


def test_another_problem_and_the_same_one_after_a_day_are_reported_again(
    file: Path, connection: Connection, receiver: Receiver
) -> None:
    for text in (TYPO, POLICIES.replace("30 days", "soon"), TYPO):
        file.write_text(text)
        with pytest.raises(PolicyError):
            _load()
    assert len(receiver.got) == 2

    connection.execute("UPDATE audit_logs SET created_at = created_at - interval '25 hours'")
    with pytest.raises(PolicyError):
        _load()
    assert len(receiver.got) == 3


def test_a_good_file_loads_and_reports_nothing(file: Path, receiver: Receiver) -> None:
    file.write_text(POLICIES)

    _load()

    assert receiver.asked == 0


def test_what_could_not_be_posted_is_posted_by_the_next_load(
    file: Path, receiver: Receiver, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.answers = [503] * delivery.TRIES
    receiver.says = "PATH is busy"

    with pytest.raises(PolicyError):
        _load()
    assert (receiver.got, connection.execute(EVENTS).fetchall()) == ([], [])
    with pytest.raises(PolicyError):
        _load()

    assert len(receiver.got) == 1
    assert "Could not post that policies are unreadable: 127.0.0.1, the host of" in caplog.text
    assert SECRET not in caplog.text


def test_a_wrong_url_is_tried_once(file: Path, receiver: Receiver) -> None:
    receiver.answers = [302] * 5

    for _ in range(2):
        with pytest.raises(PolicyError):
            _load()

    assert receiver.asked == 1


def test_processes_that_load_at_the_same_time_report_once(file: Path, receiver: Receiver) -> None:
    error = PolicyError(["policies.yaml:6: keeep: is no key"])
    loading = [
        threading.Thread(target=unreadable_policies.report, args=(settings.load(), error)) for _ in range(4)
    ]
    for process in loading:
        process.start()
    for process in loading:
        process.join()

    assert len(receiver.got) == 1


def test_it_is_reported_even_while_the_database_is_unreachable(
    file: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/app")

    with pytest.raises(PolicyError):
        _load()

    assert len(receiver.got) == 1


def test_slack_gets_it_in_its_own_format(
    file: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_WEBHOOK_FORMAT", "slack")

    with pytest.raises(PolicyError):
        _load()

    (message,) = receiver.got
    assert message["text"] == HEADLINE
    assert any("/locations|" in block["text"]["text"] for block in message["blocks"])
