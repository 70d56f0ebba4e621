"""Writes the questions into two pages of docs: `python -m ops_pipeline.diagnosis.reference`."""

import re
import textwrap
from pathlib import Path

from ops_pipeline.diagnosis.all import DIAGNOSES
from ops_pipeline.diagnosis.diagnosis import Diagnosis

WIDTH = 120
DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"(?<=<!-- questions -->\n).*?(?=<!-- end of questions -->)", re.DOTALL)
"""Between these two lines of a page, what this program writes."""


def table() -> str:
    """The list of questions for docs/reference/doctor.md, with links to their sections of the runbook."""
    rows = [
        f"| [`{each.id}`](../runbook.md#{each.id}) | {each.severity} | {each.question} |"
        for each in DIAGNOSES
    ]
    return "\n".join(["| id | severity | question |", "|---|---|---|", *rows, ""])


def sections() -> str:
    """The sections for docs/runbook.md."""
    return "\n".join(_section(diagnosis) for diagnosis in DIAGNOSES)


def _section(diagnosis: Diagnosis) -> str:
    remedy = diagnosis.remedy if diagnosis.remedy.endswith(".") else f"{diagnosis.remedy}."
    text = f"{diagnosis.question} If not ({diagnosis.severity}): {_from_docs(remedy)}"
    lines = textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
    return f"### {diagnosis.id}\n{lines}\n"


def _from_docs(text: str) -> str:
    """Links as they are from docs/, where the code writes them as from docs/reference/."""
    within = re.sub(r"\]\((?!\.\./)", "](reference/", text)
    return within.replace("](../", "](").replace("](runbook.md#", "](#")


def written(page: str, block: str) -> str:
    """The page with the block in its place. Raises ValueError where the page has no such place."""
    if not BLOCK.search(page):
        raise ValueError("the page has no lines <!-- questions --> and <!-- end of questions -->")
    return BLOCK.sub(lambda _: block, page)


PAGES = {DOCS / "reference" / "doctor.md": table, DOCS / "runbook.md": sections}

if __name__ == "__main__":
    for file, block in PAGES.items():
        file.write_text(written(file.read_text(), block()))
