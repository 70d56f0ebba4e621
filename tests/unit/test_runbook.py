"""Every health check has a heading in the runbook."""

import re
from pathlib import Path

from api.health.check import RUNBOOK
from api.health.registry import Watched
from ops_pipeline.settings import Settings

REPOSITORY = Path(__file__).parents[2]


def test_every_check_links_to_a_heading_that_exists() -> None:
    headings = re.findall(r"^## (.+)$", (REPOSITORY / RUNBOOK).read_text(), re.MULTILINE)
    anchors = {heading.lower() for heading in headings}

    for check in Watched(Settings(), {}).monitor.checks.values():
        page, _, anchor = check.runbook.partition("#")
        assert page == RUNBOOK
        assert anchor in anchors
