"""`opsctl doctor` examines every database of the file, shows its findings, and changes nothing."""

import json
from collections.abc import Callable, Iterator

import psycopg
import pytest
from typer.testing import Result

from ops_pipeline.cli.errors import WRONG_INPUT
from ops_pipeline.diagnosis.examine import Diagnosed
from ops_pipeline.postgres.connection import Connection
from tests.integration.conftest import APPLICATION, POLICIES
from tests.integration.doctor.ailing_database import with_user

Diagnose = Callable[..., list[Diagnosed]]
Opsctl = Callable[..., Result]

AWAY = "postgresql://nobody@127.0.0.1:1/none"


def test_a_clean_database_has_no_findings(
    clean: Connection, url: str, diagnose: Diagnose, opsctl: Opsctl
) -> None:
    assert diagnose(url) == []
    answered = opsctl(url, "doctor")
    assert answered.exit_code == 0, answered.output
    assert "\n0 errors, 0 warnings, 0 info; " in answered.stdout
    assert "ok         Can Ops Pipeline connect to the database?\n" in answered.stdout
    assert "not asked  Does the webhook accept a test message?" in answered.stdout


def test_a_finding_is_shown_with_a_remedy_to_paste_and_as_json(
    clean: Connection, url: str, opsctl: Opsctl
) -> None:
    clean.execute(
        "CREATE RULE keep AS ON DELETE TO sessions DO INSTEAD NOTHING;"
        "CREATE TABLE stays (session uuid REFERENCES sessions ON DELETE CASCADE);"
        "CREATE INDEX ON stays (session)"
    )

    shown, as_json = opsctl(url, "doctor"), opsctl(url, "doctor", "--json")

    assert shown.exit_code == as_json.exit_code == 1
    assert "error  app  rules  public.sessions\n" in shown.stdout
    assert "\n  DROP RULE keep ON public.sessions;\n" in shown.stdout
    assert "info  app  deleted_by_cascade  public.stays\n" in shown.stdout
    assert "\n  cascade: delete\n  or: ALTER TABLE public.stays DROP CONSTRAINT" in shown.stdout
    assert "1 error, 0 warnings, 1 info" in shown.stdout
    first, _ = json.loads(as_json.stdout)["findings"]
    problem = first.pop("problem")
    assert problem.startswith("the rule keep on public.sessions")
    assert problem in shown.stdout
    assert first == {
        "database": "app",
        "severity": "error",
        "id": "rules",
        "subject": "public.sessions",
        "remedies": ["DROP RULE keep ON public.sessions;"],
    }


def test_information_alone_exits_0(clean: Connection, url: str, opsctl: Opsctl) -> None:
    clean.execute(
        "CREATE TABLE stays (session uuid REFERENCES sessions ON DELETE CASCADE);"
        "CREATE INDEX ON stays (session)"
    )

    assert opsctl(url, "doctor").exit_code == 0


def test_an_unreachable_database_is_one_finding_and_hides_no_other(
    clean: Connection, url: str, opsctl: Opsctl
) -> None:
    clean.execute("CREATE RULE keep AS ON DELETE TO sessions DO INSTEAD NOTHING")
    policies = POLICIES.replace(
        "  app:",
        f"  away: {{url: '{AWAY}', vacuum: {{}}}}\n  unset: {{url: '${{NOWHERE}}', vacuum: {{}}}}\n  app:",
    )

    answered = opsctl(url, "doctor", "--json", policies=policies)

    assert answered.exit_code == 1
    found = [(each["database"], each["id"]) for each in json.loads(answered.stdout)["findings"]]
    assert found == [("away", "unreachable"), ("unset", "unreachable"), ("app", "rules")]
    assert "127.0.0.1:1: no connection was made" in answered.stdout
    assert "the environment variable NOWHERE is not set" in answered.stdout
    chosen = opsctl(url, "doctor", "--json", "--database", "app", policies=policies)
    assert {each["database"] for each in json.loads(chosen.stdout)["findings"]} == {"app"}


def test_a_file_that_cannot_be_read_is_a_finding_and_what_needs_none_is_asked(
    url: str, opsctl: Opsctl
) -> None:
    answered = opsctl(url, "doctor", "--json", policies="version: 2")

    assert answered.exit_code == 1
    content = json.loads(answered.stdout)
    assert {each["id"] for each in content["findings"]} == {"policies_file"}
    answers = {each["id"]: each["answer"] for each in content["questions"]}
    assert answers["policies_file"] == "error"
    assert answers["rules"] == "not asked"


def test_a_database_that_does_not_exist_is_wrong_usage(url: str, opsctl: Opsctl) -> None:
    assert isinstance(opsctl(url, "doctor", "--database", "nope").exception, WRONG_INPUT)


def test_a_database_without_our_tables_is_diagnosed_and_not_migrated(
    new_database: Callable[[], str], diagnose: Diagnose
) -> None:
    url = new_database()
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(APPLICATION + "; CREATE INDEX ON memories (session_id)")

        (found,) = diagnose(url)

        assert (found.id, found.severity, found.remedies) == ("not_migrated", "error", ("opsctl migrate",))
        schemas = session.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1")
        assert schemas.fetchall() == [("information_schema",), ("public",)]


def test_a_migration_that_is_missing_is_named(clean: Connection, url: str, diagnose: Diagnose) -> None:
    clean.execute("DELETE FROM ops.migrations WHERE name = '0014_known_users'")

    (found,) = diagnose(url)

    assert (found.id, found.remedies) == ("not_migrated", ("opsctl migrate",))
    assert "0014_known_users" in found.problem


@pytest.fixture
def stranger(clean: Connection, url: str) -> Iterator[str]:
    """The URL of a role that may only connect."""
    clean.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    yield with_user(url, "stranger")
    clean.execute("DROP OWNED BY stranger CASCADE; DROP ROLE stranger")


def test_missing_rights_are_named_and_a_failing_diagnosis_hides_no_other(
    clean: Connection, stranger: str, diagnose: Diagnose
) -> None:
    policies = POLICIES.replace("keep: 30 days}", "keep: 30 days, archive: true}")
    found = diagnose(stranger, policies)

    failed = [each for each in found if "could not be checked: permission denied" in each.problem]
    assert "holds" in {each.id for each in failed}
    rights = [each for each in found if each.id == "rights"]
    assert {each.subject for each in rights} == {"public.sessions", "public.memories", "schema ops"}
    assert "archive_place" in {each.id for each in found}, "what comes after the failed ones is asked"

    for each in rights:
        clean.execute(each.remedies[0].encode())
    assert {each.id for each in diagnose(stranger)} == {"vacuum_rights"}


def test_a_diagnosis_cannot_write(
    clean: Connection, url: str, diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ops_pipeline.diagnosis.rights._required",
        lambda examined: examined.connection.execute("INSERT INTO sessions DEFAULT VALUES"),
    )

    (found,) = diagnose(url)

    assert found.id == "rights"
    assert "read-only transaction" in found.problem
