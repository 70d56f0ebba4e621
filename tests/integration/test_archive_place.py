"""Without OPS_ARCHIVE_URL a policy that archives is refused and deletes nothing; other policies run."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ops_pipeline import cli, settings
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.plan import DeletePlan
from ops_pipeline.maintenance.result import RefusedError
from ops_pipeline.policies.model import Database, Policy
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.settings import Settings
from ops_pipeline.storage import location, storage
from ops_pipeline.storage.storage import StorageUrlError

POLICIES = """
version: 1
databases:
  app:
    url: ${OPS_DATABASE_URL}
    retention:
      - {table: sessions, column: created_at, keep: 30 days, archive: true}
      - {table: visits, column: at, keep: 30 days, guard: {max_fraction: 1}}
    orphans:
      - {table: memories, column: session_id, references: sessions.id, grace_period: 0 seconds, archive: true}
"""
ARCHIVING = (
    "version: 1\ndatabases: {app: {url: x, retention:"
    " [{table: sessions, column: created_at, keep: 30 days, archive: true}]}}"
)
FILL = """
INSERT INTO memories (session_id) SELECT gen_random_uuid() FROM generate_series(1, 10);
CREATE TABLE visits (at timestamptz);
INSERT INTO visits SELECT now() - interval '40 days' FROM generate_series(1, 10);
"""


@pytest.fixture
def policies(
    application: Connection,
    read: Callable[..., Database],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Policy]:
    """The policies by name; the working directory contains only their file."""
    monkeypatch.chdir(tmp_path)
    application.execute(FILL)
    return {policy.name: policy for policy in read(POLICIES).policies}


@pytest.mark.parametrize("name", ["app/retention/sessions", "app/orphans/memories.session_id"])
def test_a_run_is_refused_before_anything_is_removed(
    application: Connection, policies: dict[str, Policy], tmp_path: Path, name: str
) -> None:
    with pytest.raises(
        RefusedError, match=r"nothing was deleted.*requires OPS_ARCHIVE_URL.*export OPS_ARCHIVE_URL="
    ):
        carry_out(application, policies[name], settings=Settings())

    assert scalar(application, "SELECT count(*) FROM sessions") == 6000
    assert scalar(application, "SELECT count(*) FROM memories") == 10
    assert not (tmp_path / ".local").exists()


def test_other_policies_run(application: Connection, policies: dict[str, Policy]) -> None:
    result = carry_out(application, policies["app/retention/visits"], settings=Settings())

    assert (result.outcome, result.removed) == ("done", 10)


def test_the_plan_refuses_only_policies_that_archive(
    application: Connection, read: Callable[..., Database], policies: dict[str, Policy]
) -> None:
    without = _problems(application, read(POLICIES), None)
    with_one = _problems(application, read(POLICIES), "/srv/archive")

    assert [name for name, problems in without.items() if "OPS_ARCHIVE_URL" in "".join(problems)] == [
        "app/retention/sessions",
        "app/orphans/memories.session_id",
    ]
    assert set(with_one.values()) == {()}


def test_opsctl_plan_shows_it_and_exits_1_or_3_where_approval_is_all_it_needs(
    url: str, policies: dict[str, Policy], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", url)

    refused = _opsctl("plan")
    monkeypatch.setenv("OPS_ARCHIVE_URL", str(tmp_path / "archive"))
    planned = _opsctl("plan")

    assert (refused.exit_code, planned.exit_code) == (1, 3)
    assert "app/retention/sessions: refused: `archive: true` requires OPS_ARCHIVE_URL" in refused.output
    assert "app/retention/visits: refused" not in refused.output
    assert "refused" not in planned.output


def test_no_command_looks_for_an_archive_in_the_working_directory() -> None:
    with pytest.raises(StorageUrlError, match=r"OPS_ARCHIVE_URL, which is not set.*s3://bucket/prefix"):
        location.storage(None)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "which is not set"),
        ("s3:/bucket", "s3: is not followed by //"),
        ("s3:bucket", "s3: is not followed by //"),
        ("S3://bucket", "S3:// is not supported"),
        ("s3://", "the bucket is missing"),
        ("s3://key:secret@", "the bucket is missing"),
        ("archive", "the path is relative"),
        ("./archive", "the path is relative"),
        ("file://archive", "not followed by an absolute path"),
        ("gs://bucket", "gs:// is not supported"),
    ],
)
def test_a_value_that_is_no_place_is_refused_by_plan_and_by_every_command(
    application: Connection, read: Callable[..., Database], value: str, problem: str
) -> None:
    with pytest.raises(StorageUrlError, match=problem) as refused:
        location.storage(value)
    assert "secret" not in str(refused.value)

    (refusals,) = _problems(application, read(ARCHIVING), value).values()

    assert any(problem in refusal for refusal in refusals)


@pytest.mark.parametrize(
    "value", ["/srv/archive", "file:///srv/archive", "s3://bucket", "s3://k:s@bucket/prefix"]
)
def test_a_place_is_not_refused(value: str) -> None:
    assert storage.problems(value, archive=True) == ()


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_ARCHIVE_URL", "")

    assert "OPS_ARCHIVE_URL" not in settings.environment(settings.load())


def _problems(
    connection: Connection, database: Database, archive_url: str | None
) -> dict[str, tuple[str, ...]]:
    made = plan(connection, database.policies, archive_url=archive_url)
    return {each.policy: each.refusals for each in made if isinstance(each, DeletePlan)}


def _opsctl(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))
