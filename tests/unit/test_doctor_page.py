"""Every question of doctor is documented as it is in the code, with a section in the runbook."""

import re
from pathlib import Path

import pytest

from ops_pipeline.diagnosis.all import DIAGNOSES
from ops_pipeline.diagnosis.reference import DOCS, PAGES, table, written


@pytest.mark.parametrize("file", list(PAGES), ids=lambda file: file.name)
def test_the_page_has_the_questions_of_the_code(file: Path) -> None:
    page = file.read_text()

    assert written(page, PAGES[file]()) == page, "run: python -m ops_pipeline.diagnosis.reference"


def test_every_question_has_a_line_and_one_section_of_the_runbook() -> None:
    runbook = (DOCS / "runbook.md").read_text()
    for diagnosis in DIAGNOSES:
        assert len(re.findall(rf"^#+ {diagnosis.id}$", runbook, re.MULTILINE)) == 1, diagnosis.id
        assert table().count(f"| [`{diagnosis.id}`](../runbook.md#{diagnosis.id}) |") == 1
