"""Every check, and every kind of policy, has a heading in the runbook."""

import re
from pathlib import Path

from api.health.check import RUNBOOK
from api.health.registry import Watched
from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.kinds import kind_of
from ops_pipeline.orchestration import remedy
from ops_pipeline.settings import Settings
from tests.unit.test_links import anchors

REPOSITORY = Path(__file__).parents[2]


def test_every_check_links_to_a_heading_that_exists() -> None:
    headings = re.findall(r"^## (.+)$", (REPOSITORY / RUNBOOK).read_text(), re.MULTILINE)
    anchors = {heading.lower() for heading in headings}

    for check in Watched(Settings(), {}, lambda *_: None, lambda *_: None).monitor.checks.values():
        page, _, anchor = check.runbook.partition("#")
        assert page == RUNBOOK
        assert anchor in anchors


POLICIES = """
version: 1
databases:
  app:
    url: x
    retention: [{table: a, column: at, keep: 1 day, partition: day, archive: true}]
    orphans: [{table: b, column: a_id, references: a.id, track: true}]
    vacuum: {}
"""


def test_failures_and_checks_in_dagster_link_to_headings_that_exist(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(POLICIES)
    (database,) = kinds.load(file).databases
    assert {policy.kind for policy in database.policies} == {kind.name for kind in kinds.KINDS}

    sections = {
        check.runbook or policy.kind
        for policy in database.policies
        for check in kind_of(policy).checks(policy)
    }

    kinds_named = {policy.kind for policy in database.policies}
    assert sections | kinds_named | {remedy.FAILED_RUN, "needs_approval"} <= anchors(REPOSITORY / RUNBOOK)
