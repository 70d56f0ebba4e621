"""VACUUM gets the options of the policy that the server's version supports."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.vacuum import options, priorities
from ops_pipeline.maintenance.vacuum.policy import Vacuum
from ops_pipeline.maintenance.vacuum.tables import Table

Tell = Callable[..., str]
VERSIONS = [150013, 160009, 170005, 180001]
SESSIONS = Table(
    oid=1, schema="public", name="sessions", parent=False, system=False, allowed=True, root=1, bytes=8192,
    reltuples=100, fillfactor=100, live=100, dead=50, toast_live=0, toast_dead=0, changed=150,
    vacuumed=datetime(2026, 1, 1, tzinfo=UTC), analyzed=None, age=1, age_limit=200_000_000,
    multixact_age=1, multixact_limit=400_000_000,
)  # fmt: skip


@pytest.fixture
def policy(tmp_path: Path) -> Vacuum:
    return _rule(tmp_path, "{tables: all}")


def _rule(folder: Path, text: str) -> Vacuum:
    file = folder / "policies.yaml"
    file.write_text(f"version: 1\ndatabases: {{app: {{url: x, vacuum: {text}}}}}\n")
    (found,) = kinds.load(file).databases[0].policies
    assert isinstance(found, Vacuum)
    return found


def _statement(
    policy: Vacuum, version: int, action: priorities.VacuumAction = "vacuum", *, skip_locked: bool = True
) -> str:
    choice = priorities.Choice(SESSIONS, action, "a reason", analyze=action != "freeze")
    text = options.statement(choice, policy, version, skip_locked=skip_locked).as_string(None)
    return text.splitlines()[-1]


@pytest.mark.parametrize("version", VERSIONS)
def test_truncate_is_off_and_locked_tables_are_skipped_in_every_version(policy: Vacuum, version: int) -> None:
    assert _statement(policy, version).startswith(
        "VACUUM (ANALYZE true, TRUNCATE false, INDEX_CLEANUP auto, SKIP_LOCKED true"
    )
    assert "SKIP_LOCKED false" in _statement(policy, version, skip_locked=False)


@pytest.mark.parametrize("version", VERSIONS)
def test_options_of_the_policy_are_passed_on(tmp_path: Path, version: int) -> None:
    policy = _rule(tmp_path, "{truncate: true, index_cleanup: 'off', parallel: 0}")

    assert _statement(policy, version, "freeze").startswith(
        "VACUUM (FREEZE, ANALYZE false, TRUNCATE true, INDEX_CLEANUP off, PARALLEL 0, SKIP_LOCKED true"
    )


@pytest.mark.parametrize(("version", "known"), [(each, each >= 160000) for each in VERSIONS])
def test_options_new_in_16_are_used_from_16_on(tmp_path: Path, version: int, known: bool) -> None:
    policy = _rule(tmp_path, "{buffer_usage_limit: 64 MB}")

    assert ("BUFFER_USAGE_LIMIT '64MB'" in _statement(policy, version)) is known
    assert ("BUFFER_USAGE_LIMIT '64MB'" in _statement(policy, version, "analyze")) is known
    assert ("SKIP_DATABASE_STATS" in _statement(policy, version)) is known


@pytest.mark.parametrize("version", VERSIONS)
def test_analyze_gets_no_option_that_only_vacuum_has(policy: Vacuum, version: int) -> None:
    everything = replace(policy, parallel=2, truncate=True)

    assert _statement(everything, version, "analyze") == 'ANALYZE (SKIP_LOCKED true) "public"."sessions"'


@pytest.mark.parametrize("version", VERSIONS)
def test_the_servers_own_number_of_workers_is_left_alone(policy: Vacuum, version: int) -> None:
    assert "PARALLEL" not in _statement(policy, version)


def test_the_missions_plain_vacuum_analyze_is_one_setting(tmp_path: Path) -> None:
    policy = _rule(tmp_path, "{mode: always}")
    fresh = replace(SESSIONS, dead=0, changed=0)

    (choice,) = priorities.choose([fresh], policy)

    assert (choice.action, choice.analyze) == ("vacuum", True)
    assert priorities.choose([fresh], replace(policy, mode="auto"))[0].action == "skip"
