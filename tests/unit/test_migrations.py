"""Migrations are applied in the order of their numbers, which no two share."""

import re
from collections import Counter

from ops_pipeline.postgres.migrations import MIGRATIONS

DEPENDS = re.compile(r"^-- depends: (.*)$", re.MULTILINE)


def test_each_has_a_number_of_its_own() -> None:
    numbers = Counter(path.name.partition("_")[0] for path in MIGRATIONS.glob("*.sql"))

    assert [number for number, count in numbers.items() if count > 1] == []
    assert sorted(map(int, numbers)) == list(range(1, len(numbers) + 1))


def test_each_depends_on_earlier_ones_that_exist() -> None:
    names = sorted(path.stem for path in MIGRATIONS.glob("*.sql"))
    for path in MIGRATIONS.glob("*.sql"):
        for line in DEPENDS.findall(path.read_text()):
            assert all(name in names and name < path.stem for name in line.split()), path.name
