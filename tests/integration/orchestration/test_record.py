"""The weekly sweep compares the record of deleted parents with the table; a difference fails its check."""

from pathlib import Path

import dagster as dg
import pytest

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.orphans import triggers
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.postgres.connection import Connection
from tests.integration.orchestration.conftest import POLICIES, Materialize

TRACKED = POLICIES.replace("grace_period: 0 seconds}", "grace_period: 0 seconds, track: true, archive: true}")


def _checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {
        check.check_name: check
        for check in result.get_asset_check_evaluations()
        if check.asset_key.path[1] == "orphans"
    }


def test_a_missing_parent_that_nothing_recorded_is_a_red_check(
    materialize: Materialize, application: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_ARCHIVE_URL", str(tmp_path / "archive"))
    application.execute("CREATE INDEX ON memories (session_id)")
    (tmp_path / "policies.yaml").write_text(TRACKED)
    policies = kinds.load(tmp_path / "policies.yaml").databases[0].policies
    (policy,) = (policy for policy in policies if isinstance(policy, Orphans))
    triggers.install(application, policy, by="test")
    first = materialize(TRACKED)
    assert {name: check.passed for name, check in _checks(first).items()} == {
        "no_orphaned_rows": True,
        "record_is_complete": True,
        "guard_passed": True,
        "archive_verified": True,
    }
    assert _checks(first)["archive_verified"].metadata["files"].value == 1
    application.execute("UPDATE ops.orphan_tracks SET swept_at = swept_at - interval '8 days'")
    application.execute("INSERT INTO memories (session_id) VALUES (gen_random_uuid())")

    result = materialize(TRACKED)

    check = _checks(result)["record_is_complete"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert check.metadata["unrecorded"].value == 1
    orphans = _checks(result)["no_orphaned_rows"]
    assert orphans.passed, "the orphan itself was deleted"
    assert str(orphans.description).startswith("Every orphan of "), "there is nothing to count"
