"""With several databases no command guesses one: what is printed names it, what changes one requires it."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.restore import archived_table, none_archived
from ops_pipeline.archive.target import RestoreRefusedError
from ops_pipeline.archive.verify import verify
from ops_pipeline.diagnosis import code_location
from ops_pipeline.holds import holds
from ops_pipeline.maintenance import kinds
from ops_pipeline.policies.connection import connect_to
from ops_pipeline.postgres import locks
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.storage import location
from tests.integration.adopt.conftest import MISSION
from tests.integration.conftest import APPLICATION, SESSIONS, Done

Opsctl = Callable[..., Done]

AWAY = "postgresql://nobody@127.0.0.1:1/away"
CHANGES = {
    "hold add": "hold add --table sessions --where created_at<2020-01-01 --reason x --owner y",
    "hold confirm": "hold confirm 1",
    "hold release": "hold release 1",
    "archive restore": "archive restore --table sessions",
    "archive write-off": "archive write-off sessions/day=2026-03-01/part.parquet --reason lost",
    "adopt": "adopt sessions",
}


def policies(urls: dict[str, str]) -> str:
    lines = ["version: 1", "databases:"]
    for name, url in urls.items():
        lines += [
            f"  {name}:",
            f"    url: {url}",
            "    retention: [{table: sessions, column: created_at, keep: 30 days, archive: true}]",
        ]
    return "\n".join(lines)


@pytest.fixture
def urls(
    opsctl: Opsctl, template: str, new_database: Callable[..., str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, str]:  # fmt: skip
    """The databases a and b of policies.yaml, each with the small application and an equal hold 1."""
    monkeypatch.setattr(code_location, "load", lambda _: None)  # a process of its own
    monkeypatch.setattr(locks, "FIRST_WAIT_SECONDS", 0.01)
    made = {name: new_database(template) for name in "ab"}
    for name, url in made.items():
        with connect(url, "test") as connection:
            connection.execute(APPLICATION)
            connection.execute(SESSIONS, [59, 0, 100])
            holds.add(
                connection, "sessions", "created_at < 2020-01-01",
                reason=f"case {name}", owner="legal", by="ann",
            )  # fmt: skip
    (tmp_path / "policies.yaml").write_text(policies(made))
    monkeypatch.setenv("OPS_DATABASE_URL", made["a"])
    monkeypatch.setenv("OPS_DAGSTER_DATABASE_URL", new_database())
    monkeypatch.setenv("OPS_ARCHIVE_URL", str(tmp_path / "archive"))
    del opsctl  # it has gone into the folder
    return made


def replace_table(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE sessions RENAME TO former; CREATE TABLE sessions (LIKE former)")


def released(url: str) -> bool:
    with connect(url, "test") as connection:
        return bool(scalar(connection, "SELECT bool_or(released_at IS NOT NULL) FROM ops.legal_holds"))


@pytest.mark.parametrize("command", CHANGES)
def test_a_command_that_changes_one_database_refuses_to_guess_it(
    urls: dict[str, str], opsctl: Opsctl, command: str
) -> None:
    done = opsctl(*shlex.split(CHANGES[command]))

    assert done.code == 2, done
    assert "--database: required, because policies.yaml has 2 databases; write one of a, b." in done.err
    assert not any(map(released, urls.values()))
    for url in urls.values():
        with connect(url, "test") as connection:
            assert scalar(connection, "SELECT count(*) FROM ops.legal_holds") == 1


def test_the_commands_that_are_printed_about_a_hold_act_on_its_database(
    urls: dict[str, str], opsctl: Opsctl
) -> None:
    replace_table(urls["b"])

    listed = opsctl("hold", "list")
    doctored = json.loads(opsctl("doctor", "--json").out)
    planned = opsctl("plan")

    (finding,) = (each for each in doctored["findings"] if each["id"] == "holds")
    *confirm, release = finding["remedies"]
    assert finding["database"] == "b"
    assert "opsctl" not in finding["problem"], "it introduces the commands"
    assert release == "opsctl hold release 1 --database b"
    for command in finding["remedies"]:
        assert command in listed.out
        assert command in planned.err
    assert opsctl(*shlex.split(confirm[0])[1:]).code == 0
    assert opsctl(*shlex.split(release)[1:]).code == 0
    assert (released(urls["a"]), released(urls["b"])) == (False, True)


def test_what_only_reads_reads_every_database_and_names_it(urls: dict[str, str], opsctl: Opsctl) -> None:
    for name in urls:
        add = "hold add --table sessions --where 'created_at < 2021-01-01' --reason r --owner o --database"
        assert opsctl(*shlex.split(add), name).code == 0

    held = json.loads(opsctl("hold", "list", "--json").out)["holds"]
    verified = opsctl("archive", "verify")

    assert [(each["database"], each["id"]) for each in held] == [("a", 2), ("a", 1), ("b", 2), ("b", 1)]
    assert verified.out.count("All files match") == 2
    assert verified.out.startswith("a: read 0 files again")


def test_nothing_is_said_about_a_database_that_could_not_be_asked(
    urls: dict[str, str], opsctl: Opsctl, tmp_path: Path
) -> None:
    (tmp_path / "policies.yaml").write_text(policies({"a": urls["a"], "away": AWAY}))

    assert "no connection was made" in opsctl("hold", "list").err
    verified = opsctl("archive", "verify")
    assert (verified.code, verified.out.count("All files match")) == (1, 1)
    for command in ("approve", "approve --all", "history"):
        shown = opsctl(*command.split())
        assert (shown.code, shown.out.strip()) == (1, ""), command
        assert "away: Database 'away' at" in shown.err
    (tmp_path / "policies.yaml").write_text(policies({"a": urls["a"]}))
    assert "No plan needs approval." in opsctl("approve").out
    assert "To start one: opsctl run\n" in opsctl("history").out
    assert "To start one: opsctl run --database a\n" in opsctl("history", "--database", "a").out


def test_a_restore_says_how_to_release_the_hold_of_its_database(
    urls: dict[str, str], opsctl: Opsctl, tmp_path: Path
) -> None:
    database = kinds.load(tmp_path / "policies.yaml").databases[1]
    with connect_to(database, {}, "test") as connection:
        kinds.carry_out(connection, database.policies[0])

    restored = opsctl("archive", "restore", "--table", "sessions", "--database", "b")

    assert restored.code == 0, restored.err
    assert "To release it: opsctl hold release 2 --database b" in restored.out


def test_a_damaged_file_names_the_verification_of_its_database(urls: dict[str, str], tmp_path: Path) -> None:
    database = kinds.load(tmp_path / "policies.yaml").databases[1]
    storage = location.storage(str(tmp_path / "archive"))
    with connect_to(database, {}, "test") as connection:
        kinds.carry_out(connection, database.policies[0])
        next(iter(sorted((tmp_path / "archive").rglob("*.parquet")))).write_bytes(b"x")

        verified = verify(connection, Archive(storage, connection), by="ann")

        assert "then run `opsctl archive verify --database b`" in verified.problems[0]
        assert none_archived(connection, "sessions").endswith("opsctl archive list --database b")


def test_a_hold_that_does_not_exist_names_the_list_of_its_database(
    urls: dict[str, str], opsctl: Opsctl
) -> None:
    assert "opsctl hold list --database b" in opsctl("hold", "release", "9", "--database", "b").err


def test_resumed_maintenance_is_started_in_its_database(urls: dict[str, str], opsctl: Opsctl) -> None:
    opsctl("pause", "--reason", "work")

    resumed = opsctl("resume")

    assert [line.rpartition(": ")[2] for line in resumed.out.splitlines()] == [
        "opsctl run --database a", "opsctl run --database b",
    ]  # fmt: skip


def test_a_paused_adoption_ends_with_the_command_that_resumes_its_database(
    urls: dict[str, str], opsctl: Opsctl
) -> None:
    with connect(urls["b"], "test") as connection:
        connection.execute("ALTER TABLE sessions ALTER created_at SET NOT NULL")
    opsctl("pause", "--reason", "work", "--database", "b")

    stopped = opsctl("adopt", "sessions", "--database", "b")

    assert stopped.code == 1
    assert "The original table is still in use and complete" in stopped.err
    assert stopped.err.endswith("To resume: opsctl resume --database b\n")


def test_a_file_without_orphans_policies_has_no_triggers_to_install(
    urls: dict[str, str], opsctl: Opsctl
) -> None:
    done = opsctl("track", "install", "b/orphans/memories.session_id")

    assert (done.code, done.err) == (2, "policies.yaml has no orphans policy. Nothing was changed\n")


def test_an_approved_plan_is_run_alone(urls: dict[str, str], opsctl: Opsctl) -> None:
    for url in urls.values():
        with connect(url, "test") as connection:
            connection.execute(SESSIONS, [99, 31, 100])
    assert opsctl("plan").code == 3

    approved = opsctl("approve", "--all")

    run = "opsctl run --policy a/retention/sessions --policy b/retention/sessions"
    assert approved.out.endswith(f"To run them now: {run}\n")
    assert "To run it now: opsctl run --policy b/retention/sessions\n" in opsctl("plan").out


def test_the_adoption_that_migrate_prints_is_of_the_database_it_is_about(
    urls: dict[str, str], opsctl: Opsctl, new_database: Callable[..., str], tmp_path: Path
) -> None:
    url = new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(MISSION)
    (tmp_path / "policies.yaml").write_text(policies({"a": urls["a"], "b": url}))
    refused = opsctl("migrate")
    assert "in use: opsctl adopt audit_logs --database b\n" in refused.err

    adopted = opsctl("adopt", "audit_logs", "--database", "b")

    assert adopted.code == 0, adopted.err
    assert "To drop it: opsctl adopt audit_logs --finish --database b" in adopted.out


def test_a_connection_that_is_known_by_its_url_alone_names_no_database(connection: Connection) -> None:
    with pytest.raises(holds.HoldRefusedError, match=r"to list all holds: opsctl hold list$"):
        holds.release(connection, 9, by="ann")
    with pytest.raises(RestoreRefusedError, match="has no files"):
        archived_table(connection, "sessions")
