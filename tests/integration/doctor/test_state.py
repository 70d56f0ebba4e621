"""Doctor asks each database what its nights depend on: each question once red, once green."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, tzinfo
from pathlib import Path

import psycopg
import pytest

from ops_pipeline.diagnosis import clock_skew, old_transactions
from ops_pipeline.diagnosis.daemon import Heartbeat, Senders
from ops_pipeline.diagnosis.examine import Diagnosed, examine
from ops_pipeline.forward.position import begin
from ops_pipeline.forward.target import target_of
from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration import loaded_policies
from ops_pipeline.orchestration.resources import MaintenanceResource
from ops_pipeline.policies.model import Policies
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings
from tests.integration.archive.removal import remove
from tests.integration.conftest import POLICIES, SESSIONS

Diagnose = Callable[..., list[Diagnosed]]


def test_a_migration_of_a_newer_version_is_an_error(clean: Connection, url: str, diagnose: Diagnose) -> None:
    clean.execute("INSERT INTO ops.migrations (name) VALUES ('9999_of_tomorrow')")

    (found,) = diagnose(url)

    assert (found.id, found.severity) == ("migrated_ahead", "error")
    assert "9999_of_tomorrow" in found.problem


def test_a_process_with_another_policies_file_is_a_warning_while_it_runs(
    clean: Connection, url: str, diagnose: Diagnose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    file = tmp_path / "theirs.yaml"
    file.write_text(POLICIES)
    assert loaded_policies.record(MaintenanceResource(), kinds.load(file)) == []
    assert diagnose(url) == []

    file.write_text(POLICIES.replace("30 days", "3 days"))
    assert loaded_policies.record(MaintenanceResource(), kinds.load(file)) == []
    (found,) = diagnose(url)
    assert (found.id, found.severity) == ("loaded_policies", "warning")
    assert "the code location on" in found.problem
    assert "reload the code location" in found.problem

    clean.execute("UPDATE ops.loaded_policies SET seen_at = now() - interval '6 minutes'")
    assert diagnose(url) == [], "it has ended"


def test_a_target_that_is_behind_is_a_warning(clean: Connection, url: str, diagnose: Diagnose) -> None:
    begin(clean, target_of("https://siem.example.com/in", None), None)
    assert diagnose(url) == []

    clean.execute("UPDATE ops.forward_targets SET seen_at = now() - interval '61 minutes'")
    (found,) = diagnose(url)
    assert (found.id, found.severity, found.subject) == (
        "forward_behind", "warning", "target siem.example.com",
    )  # fmt: skip
    assert "no process forwards to it now" in found.problem
    assert found.remedies == ("opsctl forward --forget siem.example.com",)


def test_what_is_loaded_is_known_for_each_database_and_one_that_is_away_is_named(
    clean: Connection, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", url)
    file = tmp_path / "theirs.yaml"
    file.write_text(POLICIES + "  away: {url: 'postgresql://nobody@127.0.0.1:1/none', vacuum: {}}\n")
    policies = kinds.load(file)

    (problem,) = loaded_policies.record(MaintenanceResource(), policies)

    assert problem.startswith("away: ")
    rows = clean.execute("SELECT program, fingerprint FROM ops.loaded_policies").fetchall()
    assert rows == [("code location", policies.databases[0].fingerprint)]


def test_a_comment_does_not_change_the_fingerprint_of_policies(tmp_path: Path) -> None:
    def of(text: str) -> str:
        (tmp_path / "policies.yaml").write_text(text)
        policies: Policies = kinds.load(tmp_path / "policies.yaml")
        return policies.databases[0].fingerprint

    assert of(POLICIES) == of("# ours\n" + POLICIES)
    assert of(POLICIES) != of(POLICIES.replace("30 days", "31 days"))


def test_an_archive_of_another_database_or_place_is_an_error(
    clean: Connection, url: str, diagnose: Diagnose, tmp_path: Path
) -> None:
    folder = tmp_path / "archive"
    clean.execute(
        "CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz, what text,"
        " amount numeric);"
        "INSERT INTO events (at, what, amount) VALUES ('2026-03-01 00:00+00', 'x', 1)"
    )
    remove(url, clean, folder)

    def found(place: Path | None) -> str:
        (only,) = (
            each for each in diagnose(url, archive_url=place and str(place)) if each.id == "archive_origin"
        )
        return only.problem

    assert diagnose(url, archive_url=str(folder)) == []
    (tmp_path / "elsewhere").mkdir()
    assert "names another place, or a folder is not mounted" in found(tmp_path / "elsewhere")
    assert "not set, and rows of this database were archived" in found(None)
    clean.execute("UPDATE ops.archive_origin SET id = gen_random_uuid()")
    assert "was archived by another database" in found(folder)


@pytest.mark.parametrize(("seconds", "said"), [(-60, "ahead of"), (60, "behind")])
def test_a_clock_that_differs_is_a_warning(
    clean: Connection,
    url: str,
    diagnose: Diagnose,
    monkeypatch: pytest.MonkeyPatch,
    seconds: int,
    said: str,
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Clock":
            return cls.fromtimestamp(datetime.now(tz).timestamp() + seconds, tz)

    monkeypatch.setattr(clock_skew, "datetime", Clock)

    (found,) = diagnose(url)

    assert (found.id, found.severity) == ("clock_skew", "warning")
    assert said in found.problem


def test_a_plan_that_waits_is_a_warning_until_it_is_approved(
    clean: Connection, url: str, diagnose: Diagnose, opsctl: Callable[..., object]
) -> None:
    clean.execute(SESSIONS, [59, 0, 100])
    clean.execute(
        "INSERT INTO ops.plans (id, policy, definition, cutoff, worker_clock, eligible, total, fraction, "
        "exact, reasons) VALUES ('abc12345', 'app/retention/sessions', '{}', now(), now(), 10, 12, 0.8, true,"
        " ARRAY['keep was shortened'])"
    )

    (found,) = (each for each in diagnose(url) if each.id == "pending_approvals")

    assert (found.severity, found.subject) == ("warning", "app/retention/sessions")
    assert "needs approval: it would delete 10 of 12 rows; keep was shortened. To allow" in found.problem
    assert found.remedies == ("opsctl approve abc12345",)
    opsctl(url, *found.remedies[0].split()[1:])
    assert diagnose(url) == []


def test_days_without_a_partition_are_a_warning(clean: Connection, url: str, diagnose: Diagnose) -> None:
    name = scalar(
        clean,
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass "
        "AND inhrelid::regclass::text LIKE %s",
        [f"%{datetime.now(UTC):%Y%m%d}%"],
    )
    clean.execute(f"DROP TABLE {name}".encode())

    (found,) = diagnose(url)

    assert (found.id, found.subject) == ("partitions_premade", "public.audit_logs")
    assert found.remedies == ("opsctl migrate",)
    with_policy = POLICIES.replace(
        "retention: [",
        "retention: [{table: audit_logs, column: created_at, keep: 365 days, partition: day}, ",
    )
    remedies = {each.id: each.remedies for each in diagnose(url, with_policy)}
    assert remedies["partitions_premade"] == ("opsctl migrate",), "a run, which deletes, is not required"


def test_an_interrupted_detach_is_a_warning_and_its_remedy_completes_it(
    clean: Connection, url: str, diagnose: Diagnose
) -> None:
    clean.execute(
        "CREATE TABLE visits (at timestamptz) PARTITION BY RANGE (at);"
        "CREATE TABLE visits_old PARTITION OF visits FOR VALUES FROM ('2019-01-01') TO ('2019-01-02');"
        "UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'visits_old'::regclass"
    )
    policies = POLICIES.replace("retention: [", "retention: [{table: visits, column: at, keep: 30 days}, ")

    def found() -> list[Diagnosed]:
        return [each for each in diagnose(url, policies) if each.id == "detach_pending"]

    (pending,) = found()
    assert (pending.severity, pending.subject) == ("warning", "public.visits_old")
    clean.execute(pending.remedies[0].encode())
    assert found() == []


@pytest.mark.parametrize("way", [0, 1])
def test_an_invalid_index_is_a_warning_and_each_remedy_ends_it(
    clean: Connection, url: str, diagnose: Diagnose, way: int
) -> None:
    clean.execute(
        "CREATE INDEX half ON sessions (note);"
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'half'::regclass"
    )

    (found,) = diagnose(url)

    assert (found.id, found.severity, found.subject) == ("invalid_indexes", "warning", "public.half")
    with psycopg.connect(url, autocommit=True) as builder:
        builder.execute("BEGIN; LOCK sessions IN SHARE UPDATE EXCLUSIVE MODE")
        assert diagnose(url) == [], "it may be under construction"
        builder.execute("ROLLBACK")
    clean.execute(found.remedies[way].encode())
    assert diagnose(url) == []


def test_a_session_with_an_old_transaction_is_a_warning(
    clean: Connection, url: str, diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(psycopg.connect(url, application_name="idler")) as idler:
        idler.execute("SELECT 1")
        assert diagnose(url) == []
        monkeypatch.setattr(old_transactions, "OLD_SECONDS", 0)
        (found,) = diagnose(url)

        assert (found.id, found.severity) == ("old_transactions", "warning")
        assert "(idle in transaction, user postgres, idler)" in found.subject
        clean.execute(found.remedies[0].encode())
    assert diagnose(url) == []


def test_transactions_that_may_not_be_seen_are_not_taken_for_absent(
    clean: Connection, url: str, tmp_path: Path
) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(POLICIES)
    clean.execute("CREATE ROLE blind LOGIN PASSWORD 'blind'")
    try:
        login = psycopg.conninfo.conninfo_to_dict(url) | {"user": "blind", "password": "blind"}
        blind = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**login)
        (database,) = kinds.load(file).databases

        answers = examine(database, Settings(database_url=blind))

        assert answers.unasked["old_transactions"] == (
            "1 session of other users cannot be seen: GRANT pg_read_all_stats TO blind"
        )
    finally:
        clean.execute("DROP ROLE blind")


def test_an_idle_replication_slot_is_a_warning_and_its_remedy_drops_it(
    clean: Connection, url: str, diagnose: Diagnose
) -> None:
    clean.execute("SELECT pg_create_physical_replication_slot('gone', true)")
    try:
        (found,) = diagnose(url)

        assert (found.id, found.severity) == ("replication_slots", "warning")
        assert found.subject == "replication slot gone"
        clean.execute(found.remedies[0].partition(": ")[2].encode())
        assert diagnose(url) == []
    finally:
        clean.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'gone'"
        )


def test_a_read_of_too_many_partitions_is_a_warning(
    clean: Connection, url: str, diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops_pipeline.diagnosis.lock_table.AT_ONCE", 1000)

    (found,) = diagnose(url)

    assert (found.id, found.severity, found.subject) == ("lock_table", "warning", "public.audit_logs")
    (remedy,) = found.remedies
    required = int(remedy.removeprefix("ALTER SYSTEM SET max_locks_per_transaction = ").removesuffix(";"))
    locks, connections = 16 * 11 + 11, int(scalar(clean, "SELECT current_setting('max_connections')"))
    assert required * connections >= 2 * 1000 * locks * 0.8


def test_several_daemons_are_known_by_one_that_sends_again_after_it_was_replaced() -> None:
    senders = Senders()

    def reported(sender: str) -> str | None:
        return senders.several([Heartbeat("SCHEDULER", sender, 1.0), Heartbeat("SENSOR", sender, 1.0)])

    assert [reported("a"), reported("a"), reported("b"), reported("b")] == [None] * 4, "it was restarted"
    assert reported("a") is not None
    assert reported("b") is not None
    assert [reported("b"), reported("b")] == [None] * 2
