"""Every key of policies.yaml is documented, with its real default."""

import re
from pathlib import Path

import pytest

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.vacuum.policy import ReindexSection
from ops_pipeline.policies.file import (
    DatabaseSection,
    FileSection,
    GuardSection,
    ScheduleSection,
    Section,
    ThrottleSection,
)

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "policies.md"
SECTIONS: dict[str, type[Section]] = {
    "The file": FileSection,
    "schedule": ScheduleSection,
    "database": DatabaseSection,
    **{kind.name: kind.section for kind in kinds.KINDS},
    "reindex": ReindexSection,
    "guard": GuardSection,
    "throttle": ThrottleSection,
}


@pytest.fixture
def documented() -> dict[str, dict[str, str]]:
    """The text beside each key, by section and key."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    return {
        heading: dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, re.MULTILINE))
        for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }


def test_the_page_and_the_code_name_the_same_keys(documented: dict[str, dict[str, str]]) -> None:
    expected = {section: set(model.model_fields) for section, model in SECTIONS.items()}
    expected["database"] |= {kind.name for kind in kinds.KINDS}

    assert {section: set(keys) for section, keys in documented.items()} == expected


def test_the_page_has_the_real_defaults(documented: dict[str, dict[str, str]]) -> None:
    for section, model in SECTIONS.items():
        for key, field in model.model_fields.items():
            if isinstance(field.default, str | float | int):
                shown = documented[section][key].strip("`")
                default = str(field.default)
                assert shown == (default.lower() if isinstance(field.default, bool) else default), (
                    section,
                    key,
                )
