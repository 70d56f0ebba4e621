"""A database that cannot be maintained as it is has one finding, which says why."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql as compose

from ops_pipeline.diagnosis.examine import Diagnosed, examine
from ops_pipeline.maintenance import kinds
from ops_pipeline.postgres import embedded
from ops_pipeline.settings import Settings
from tests.integration.conftest import POLICIES

Diagnose = Callable[..., list[Diagnosed]]


@pytest.fixture
def encoded(server: embedded.Server) -> Iterator[Callable[[str], str]]:
    """Creates an empty database with an encoding and returns its URL."""
    made: list[str] = []

    def make(encoding: str) -> str:
        made.append(f"test_{encoding.lower()}")
        create = "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE_PROVIDER libc LOCALE 'C'"
        session.execute(compose.SQL(create).format(compose.Identifier(made[-1]), compose.Literal(encoding)))
        return server.url(made[-1])

    with psycopg.connect(server.url("postgres"), autocommit=True) as session:
        yield make
        for name in made:
            session.execute(compose.SQL("DROP DATABASE {} WITH (FORCE)").format(compose.Identifier(name)))


def test_the_encoding_sql_ascii_is_a_finding(encoded: Callable[[str], str], diagnose: Diagnose) -> None:
    (found,) = diagnose(encoded("SQL_ASCII"))

    assert (found.id, found.severity) == ("encoding", "error")
    assert found.subject.startswith("Database 'test_sql_ascii' at 127.0.0.1:")
    assert found.remedies == (
        "createdb -T template0 -E UTF8 test_sql_ascii_utf8 && pg_dump -E LATIN1 test_sql_ascii | "
        "psql test_sql_ascii_utf8",
    )


def test_an_encoding_without_all_characters_is_a_finding(
    encoded: Callable[[str], str], diagnose: Diagnose
) -> None:
    (found,) = (each for each in diagnose(encoded("LATIN1")) if each.id == "narrow_encoding")

    assert (found.severity, found.subject) == ("info", "test_latin1")
    assert found.remedies[0].endswith("pg_dump -E LATIN1 test_latin1 | psql test_latin1_utf8")


def test_transaction_pooling_is_a_finding(
    url: str, diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops_pipeline.postgres.pooler.lends_by_transaction", lambda _: True)

    (found,) = diagnose(url)

    assert (found.id, found.severity) == ("pooler", "error")
    assert "pool_mode = session" in found.problem


def test_a_standby_is_a_finding(tmp_path: Path, diagnose: Diagnose) -> None:
    with embedded.running(tmp_path):
        pass
    (tmp_path / "data" / "standby.signal").touch()
    with embedded.running(tmp_path) as server:
        found = diagnose(server.url("postgres"), POLICIES)

    (standby,) = (each for each in found if each.id == "standby")
    assert (standby.severity, standby.remedies) == ("error", ("?target_session_attrs=read-write",))
    assert "policy_mismatch" in {each.id for each in found}, "it can be asked the rest"
    assert not [each for each in found if "could not be checked" in each.problem]


TAKEN = {
    "schema ops": "CREATE SCHEMA ops CREATE TABLE ops.servers (id int)",
    "public.audit_logs": "CREATE TABLE audit_logs (id int)",
}


@pytest.mark.parametrize("name", list(TAKEN))
def test_a_name_that_the_application_already_uses_is_a_finding(
    new_database: Callable[[], str], diagnose: Diagnose, name: str
) -> None:
    url = new_database()
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(TAKEN[name].encode())
        (found,) = (each for each in diagnose(url) if each.id == "names_taken")
        assert (found.severity, found.subject) == ("error", name)
        rename, elsewhere = found.remedies
        assert elsewhere in {"OPS_SCHEMA=ops_pipeline", "OPS_AUDIT_LOG_SCHEMA=ops_audit"}
        session.execute(rename.encode())

    assert "names_taken" not in {each.id for each in diagnose(url)}


def test_before_the_migration_what_our_tables_would_say_is_not_asked(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text("version: 1\ndatabases: {app: {url: '${OPS_DATABASE_URL}'}}\n")
    (database,) = kinds.load(file).databases

    answers = examine(database, Settings(database_url=new_database(), policies=file))

    assert {found.id for found in answers.findings} == {"not_migrated"}
    not_migrated = {name for name, why in answers.unasked.items() if why == "the database is not migrated"}
    assert not_migrated == {
        "archive_origin",
        "audit_log_missing",
        "forward_behind",
        "holds",
        "partitions_premade",
        "pending_approvals",
    }
