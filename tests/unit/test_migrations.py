"""Migrations are applied in the order of their numbers, and no two share one."""

from collections import Counter

from ops_pipeline.postgres.migrations import MIGRATIONS


def test_no_two_migrations_share_a_number() -> None:
    numbers = Counter(path.name.partition("_")[0] for path in MIGRATIONS.glob("*.sql"))

    assert [number for number, count in numbers.items() if count > 1] == []
    assert sorted(map(int, numbers)) == list(range(1, len(numbers) + 1))


def test_a_database_of_any_encoding_can_be_migrated() -> None:
    assert [
        path.name for path in MIGRATIONS.glob("*.sql") if not path.read_text(encoding="utf-8").isascii()
    ] == []
