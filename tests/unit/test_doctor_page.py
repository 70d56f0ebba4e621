"""Every diagnosis is documented as it is in the code, and its links lead to headings."""

import re
from pathlib import Path

from ops_pipeline.diagnosis.all import DIAGNOSES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "doctor.md"


def test_the_page_and_the_code_name_the_same_diagnoses() -> None:
    documented = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)

    assert documented == [
        (diagnosis.id, diagnosis.severity, diagnosis.question, diagnosis.remedy) for diagnosis in DIAGNOSES
    ]
    assert len({diagnosis.id for diagnosis in DIAGNOSES}) == len(DIAGNOSES)


def test_every_link_of_a_remedy_leads_to_a_heading() -> None:
    for diagnosis in DIAGNOSES:
        for link in re.findall(r"\]\(([^)]+)\)", diagnosis.remedy):
            name, _, anchor = link.partition("#")
            text = (PAGE.parent / name).read_text()
            headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
            assert anchor in anchors | {""}, (diagnosis.id, link)
