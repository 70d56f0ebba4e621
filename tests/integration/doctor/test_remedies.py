"""Each diagnosis names its subject, and every remedy fixes its finding."""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo
from typer.testing import Result

from ops_pipeline.diagnosis.all import DIAGNOSES
from ops_pipeline.diagnosis.diagnosis import Examination
from ops_pipeline.diagnosis.examine import Diagnosed
from ops_pipeline.finding import Finding
from ops_pipeline.maintenance import kinds
from ops_pipeline.postgres import embedded
from ops_pipeline.postgres.connection import connect
from ops_pipeline.settings import Settings
from tests.integration.doctor import ailing_database as ailing

Diagnose = Callable[..., list[Diagnosed]]

BY_ITSELF = re.compile("CONCURRENTLY|ALTER DATABASE|^opsctl ")
"""Statements that cannot be tried in a transaction and rolled back."""


@pytest.fixture(scope="module")
def _ailing(server: embedded.Server, template: str) -> Iterator[None]:
    with ailing.made(server, template):
        yield


@pytest.fixture
def copied(_ailing: None, new_database: Callable[..., str]) -> Callable[[], str]:
    """Creates a copy of the ailing database."""
    return lambda: ailing.copied(new_database)


def test_a_database_with_every_problem_has_every_finding(
    copied: Callable[[], str], diagnose: Diagnose, opsctl: Callable[..., Result]
) -> None:
    url = copied()

    found = diagnose(ailing.as_maintenance_role(url), ailing.POLICIES)

    expected = {(id_, subject.replace("NAME", _name(url))) for id_, subject in ailing.FINDINGS}
    assert {(diagnosed.id, diagnosed.subject) for diagnosed in found} == expected
    assert not [diagnosed for diagnosed in found if "could not be checked" in diagnosed.problem]
    paragraphs = opsctl(ailing.as_maintenance_role(url), "doctor", policies=ailing.POLICIES).stdout
    for diagnosed in found:
        begins = f"{diagnosed.severity}  app  {diagnosed.id}  {diagnosed.subject}\n"
        (shown,) = (each for each in paragraphs.split("\n\n") if each.startswith(begins))
        for remedy in diagnosed.remedies:
            ends_with_it = sum(line.endswith(remedy) for line in shown.splitlines())
            assert max(ends_with_it, shown.count(remedy)) == 1, f"each command is shown once: {shown}"


def test_every_remedy_fixes_its_finding(
    copied: Callable[[], str], diagnose: Diagnose, opsctl: Callable[..., Result], tmp_path: Path
) -> None:
    url, tried = copied(), set()
    for diagnosed in diagnose(ailing.as_maintenance_role(url), ailing.POLICIES):
        for remedy in diagnosed.remedies:
            if remedy.startswith("opsctl run "):
                continue  # test_retention_partitions shows that a run creates partitions
            tried.add(diagnosed.id)
            after: Iterable[Finding | Diagnosed]
            if BY_ITSELF.search(remedy):
                copy = copied()
                _carry_out(copy, remedy.replace(_name(url), _name(copy)), opsctl)
                after = [
                    each
                    for each in diagnose(ailing.as_maintenance_role(copy), ailing.POLICIES)
                    if each.id == diagnosed.id
                ]
            elif remedy.endswith(";"):
                after = _found_after(url, remedy, diagnosed.id, tmp_path / "policies.yaml")
            else:
                policies, archive_url = ailing.POLICIES, None
                if remedy.startswith("export OPS_ARCHIVE_URL="):
                    archive_url = remedy.partition("=")[2]
                else:
                    policies = ailing.with_key(policies, diagnosed.problem, remedy)
                found = diagnose(ailing.as_maintenance_role(url), policies, archive_url)
                after = [each for each in found if each.id == diagnosed.id]
                (tmp_path / "policies.yaml").write_text(ailing.POLICIES)
            assert diagnosed.subject.replace(_name(url), "") not in {
                re.sub(r"test_\w+", "", each.subject) for each in after
            }, (diagnosed, remedy)
    assert tried == {id_ for id_, _ in ailing.FINDINGS} - {
        "policy_mismatch", "delete_triggers", "partitions_premade",
    }  # fmt: skip


def _carry_out(url: str, remedy: str, opsctl: Callable[..., Result]) -> None:
    if remedy.startswith("opsctl "):
        assert opsctl(url, *shlex.split(remedy)[1:], policies=ailing.POLICIES).exit_code == 0, remedy
        return
    with psycopg.connect(url, autocommit=True) as session:
        for statement in re.split(r"(?<=;) ", remedy):  # as psql does
            session.execute(statement.encode())


def _found_after(url: str, remedy: str, id_: str, policies: Path) -> list[Finding]:
    """The findings of that diagnosis for the maintenance role, in a transaction that first ran the remedy."""
    (diagnosis,) = (diagnosis for diagnosis in DIAGNOSES if diagnosis.id == id_)
    (database,) = kinds.load(policies).databases
    with connect(url, "test") as session, session.transaction(force_rollback=True):
        session.execute(remedy.encode())
        session.execute("SET LOCAL ROLE janitor")
        return list(diagnosis.find(Examination(session, database.policies, Settings())))


def _name(url: str) -> str:
    return str(conninfo.conninfo_to_dict(url)["dbname"])
