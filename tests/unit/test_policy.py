"""A valid policies file becomes typed policies; an invalid one is refused by line and key, with advice."""

from datetime import timedelta
from pathlib import Path

import pytest

from ops_pipeline.maintenance import kinds
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.retention.policy import Retention
from ops_pipeline.maintenance.vacuum.policy import Reindex, Vacuum
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Schedule
from ops_pipeline.postgres.relation import TableName

REPOSITORY = Path(__file__).parents[2]
HEAD = "version: 1\ndatabases:\n  app:\n    url: ${OPS_DATABASE_URL}\n"


def test_the_shipped_file_has_exactly_the_missions_policies() -> None:
    policies = [each for _, each in kinds.load(REPOSITORY / "policies.yaml")]

    assert [each.name for each in policies] == [
        "app/retention/sessions",
        "app/retention/audit_logs",
        "app/orphans/memories.session_id",
        "app/vacuum",
    ]
    sessions, audit_logs, memories, vacuum = policies
    assert isinstance(sessions, Retention)
    assert sessions.keep == timedelta(days=30)
    assert isinstance(audit_logs, Retention)
    assert audit_logs.keep == timedelta(days=90)
    assert isinstance(memories, Orphans)
    assert (memories.columns, memories.parent, memories.parent_columns) == (
        ("session_id",),
        TableName.parse("sessions"),
        ("id",),
    )
    assert isinstance(vacuum, Vacuum)
    assert vacuum.tables == "all"
    assert vacuum.analyze
    (database,) = kinds.load(REPOSITORY / "policies.yaml").databases
    assert database.schedule == Schedule("0 2 * * *", "UTC")


def test_a_database_may_have_its_own_schedule(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(
        "version: 1\nschedule: {cron: 30 1 * * *}\ndatabases:\n"
        "  one: {url: a}\n  two: {url: b, schedule: {cron: 0 4 * * *, timezone: Europe/Berlin}}\n"
    )

    one, two = kinds.load(file).databases

    assert one.schedule == Schedule("30 1 * * *", "UTC")
    assert two.schedule == Schedule("0 4 * * *", "Europe/Berlin")


def test_a_policy_has_its_own_owners_or_the_databases_and_the_tags_of_both(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(
        "version: 1\ndatabases:\n  app:\n    url: a\n    owners: [dba@example.org]\n    tags: {tier: gold}\n"
        "    retention: [{table: a, column: b, keep: 1 day, owners: ['team:x'], tags: {domain: billing}}]\n"
        "    vacuum: {}\n"
    )

    (database,) = kinds.load(file).databases

    own, inherited = database.policies
    assert (own.owners, own.tags) == (("team:x",), {"tier": "gold", "domain": "billing"})
    assert (inherited.owners, inherited.tags) == (("dba@example.org",), {"tier": "gold"})


RETENTION = "    retention:\n      - {table: sessions, column: created_at, keep: 30 days}\n"


@pytest.mark.parametrize(
    ("text", "line", "key", "advice"),
    [
        (HEAD + RETENTION.replace("keep", "kep"), 6, "retention[0].kep", 'did you mean "keep"?'),
        (HEAD + RETENTION.replace("30 days", "30"), 6, "retention[0].keep", "30 days"),
        (HEAD + RETENTION.replace("30 days", "-3 days"), 6, "retention[0].keep", "30 days"),
        (HEAD + RETENTION.replace("30 days", "0 days"), 6, "retention[0].keep", "1 second"),
        (HEAD + RETENTION.replace("30 days", "900000 weeks"), 6, "retention[0].keep", "100 years"),
        (HEAD + RETENTION.replace("30 days", "2 months"), 6, "retention[0].keep", "weeks"),
        (
            HEAD + RETENTION.replace("sessions", "a.b.c"),
            6,
            "retention[0].table",
            "schema.table",
        ),
        (HEAD + RETENTION.replace("column: created_at, ", ""), 6, "retention[0].column", "is required"),
        (HEAD + RETENTION.replace("}", ", partition: week}"), 6, "retention[0].partition", "'day'"),
        (HEAD + RETENTION.replace("}", ", premake: 3 days}"), 6, "retention[0]", "partition: day"),
        (
            HEAD + RETENTION.replace("}", ", partition: day, premake: 36 hours}"),
            6,
            "retention[0].premake",
            "whole days",
        ),
        (HEAD + RETENTION + RETENTION.splitlines()[1] + "\n", 7, "retention[1].table", "`name: old_rows`"),
        (
            HEAD + "    orphans: [{table: a, column: b, references: c}]\n",
            5,
            "orphans[0].references",
            "sessions.id",
        ),
        (HEAD + RETENTION.replace("created_at", "{a: 5}"), 6, "retention[0].column", "must be a text"),
        (HEAD + RETENTION.replace("created_at", "null"), 6, "retention[0].column", "must be a text"),
        (HEAD + RETENTION.replace("sessions", "2024"), 6, "retention[0].table", "in quotes where it looks"),
        (HEAD + RETENTION.replace("}", ", archive: 1}"), 6, "retention[0].archive", "true or false, not 1"),
        (HEAD + "    guard: {max_rows: true}\n", 5, "guard.max_rows", "must be a whole number, not True"),
        (
            HEAD + "    orphans: [{table: a, column: [b], references: c.d}]\n",
            5,
            "orphans[0].column",
            "must be a text",
        ),
        (
            HEAD + "    orphans: [{table: a, column: b, references: [c.d]}]\n",
            5,
            "orphans[0].references",
            "must be a text",
        ),
        (HEAD + "    vacuum: {tables: []}\n", 5, "vacuum.tables", "write all, or a list"),
        (HEAD + "    vacuum: {tables: 3}\n", 5, "vacuum.tables", "write all, or a list"),
        (HEAD + "    vacuum: {mode: all}\n", 5, "vacuum.mode", "'auto', 'always' or 'observe'"),
        (HEAD + "    vacuum: {parallel: -1}\n", 5, "vacuum.parallel", "must be 0 or more, not -1"),
        (HEAD + "    vacuum: {analyze: maybe}\n", 5, "vacuum.analyze", "must be true or false, not 'maybe'"),
        (HEAD + "    guard: {max_rows: many}\n", 5, "guard.max_rows", "must be a whole number, not 'many'"),
        (HEAD + "    password_command: 5\n", 5, "app.password_command", "must be a text, in quotes"),
        (HEAD + "    password_file: 5\n", 5, "app.password_file", "must be the path of a file"),
        (HEAD + "    tags: [a]\n", 5, "app.tags", "must be a mapping: `{name: value}`"),
        ("version: 1\ndatabases: [app]\n", 2, "databases", "must be a mapping: `{name: value}`"),
        (HEAD + "    vacuum: {buffer_usage_limit: 64 kB}\n", 5, "vacuum.buffer_usage_limit", "256 MB"),
        (HEAD + "    vacuum: {cost_delay: 2}\n", 5, "vacuum.cost_delay", "2 ms"),
        (
            HEAD + "    vacuum: {index_cleanup: sometimes}\n",
            5,
            "vacuum.index_cleanup",
            "'auto', 'on' or 'off'",
        ),
        (
            HEAD + "    vacuum: {reindex: true}\n",
            5,
            "vacuum.reindex",
            "must be a mapping with keys of: min_bloat",
        ),
        (HEAD + "    vacuum: {reindex: {min_blot: 0.5}}\n", 5, "vacuum.reindex.min_blot", '"min_bloat"?'),
        (HEAD + "    vacuum: {reindex: {min_bloat: 50}}\n", 5, "vacuum.reindex.min_bloat", "for example 0.5"),
        (
            HEAD + "    vacuum: {reindex: {min_bloat: 0}}\n",
            5,
            "vacuum.reindex.min_bloat",
            "between 0.1 and 0.95",
        ),
        (HEAD + "    vacuum: {reindex: {min_size: 100}}\n", 5, "vacuum.reindex.min_size", "100 MB"),
        (HEAD + "    throttle: {wal_rate: 20}\n", 5, "throttle.wal_rate", "100 MB"),
        (HEAD + "    throttle: {wal_rate: '20'}\n", 5, "throttle.wal_rate", "units: kB, MB, GB, TB"),
        (HEAD + "    vacuum: {reindex: {min_size: -1 GB}}\n", 5, "vacuum.reindex.min_size", "100 MB"),
        (HEAD + "    vacuum: {tables: [a.b.c]}\n", 5, "vacuum.tables[0]", "schema.table"),
        (HEAD + "    gaurd: {}\n", 5, "app.gaurd", "Available: url"),
        (HEAD + "    owners: [payments]\n", 5, "app.owners[0]", "team:payments"),
        (HEAD + RETENTION.replace("}", ", tags: {a b: c}}"), 6, "retention[0].tags", "63 letters"),
        (HEAD.replace("app", "App"), 3, "databases.App", "lower-case"),
        (HEAD.replace("version: 1", "version: 2"), 1, "version", "must be 1, not 2"),
        (HEAD + "schedule: {cron: 0 25 * * *}\n", 5, "schedule.cron", "0 2 * * *"),
        (HEAD + "schedule: {timezone: Mars}\n", 5, "schedule.timezone", "Europe/Berlin"),
        (HEAD + "    url: twice\n", 5, "", "duplicate key"),
        (HEAD + "    [", 5, "", "expected"),
        (HEAD + "\tvacuum: {}\n", 5, "", "a tab; indent with spaces"),
        ("", 1, "the file", "version"),
    ],
)
def test_an_invalid_entry_is_named_by_line_and_key_with_advice(
    tmp_path: Path, text: str, line: int, key: str, advice: str
) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(text)

    with pytest.raises(PolicyError) as caught:
        kinds.load(file)

    (problem,) = caught.value.problems
    assert problem.startswith(f"{file}:{line}: ")
    assert key in problem
    assert advice in problem


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{tables: all}", None),
        ("{reindex: {}}", Reindex(0.5, 100_000_000)),
        ("{reindex: {min_bloat: 0.3, min_size: 2 GB}}", Reindex(0.3, 2_000_000_000)),
    ],
)
def test_indexes_are_rebuilt_only_where_the_policy_says_so(
    tmp_path: Path, text: str, found: Reindex | None
) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(f"{HEAD}    vacuum: {text}\n")

    (vacuum,) = kinds.load(file).databases[0].policies

    assert isinstance(vacuum, Vacuum)
    assert vacuum.reindex == found


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(HEAD + RETENTION.replace("30 days", "soon") + "    vacuum: {tables: 3}\n")

    with pytest.raises(PolicyError) as caught:
        kinds.load(file)

    assert len(caught.value.problems) == 2


def test_an_unset_variable_in_the_url_is_named() -> None:
    (database,) = kinds.load(REPOSITORY / "policies.yaml").databases

    assert database.url({"OPS_DATABASE_URL": "postgresql://here/app"}) == "postgresql://here/app"
    with pytest.raises(
        PolicyError,
        match=r"policies.yaml:8: databases.app.url: .*OPS_DATABASE_URL is not set",
    ):
        database.url({})


def test_a_key_without_a_list_says_what_to_write(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text("version: 1\ndatabases:\n  app:\n    url: x\n    retention:\n")

    with pytest.raises(PolicyError, match=r":5: databases\.app\.retention: write a list"):
        kinds.load(file)


@pytest.mark.parametrize(
    ("database", "retention", "vacuum", "observed"),
    [
        ("", "", "{}", [False, False]),
        ("    mode: observe\n", "", "{}", [True, True]),
        ("    mode: observe\n", ", mode: enforce", "{mode: always}", [False, True]),
        ("    mode: enforce\n", ", mode: observe", "{mode: observe}", [True, True]),
    ],
)
def test_a_policy_is_observed_by_its_own_mode_or_else_by_its_databases(
    tmp_path: Path, database: str, retention: str, vacuum: str, observed: list[bool]
) -> None:
    file = tmp_path / "policies.yaml"
    policy = RETENTION.replace("30 days", f"30 days{retention}")
    file.write_text(f"{HEAD}{database}{policy}    vacuum: {vacuum}\n")

    policies = kinds.load(file).databases[0].policies

    assert [policy.observe for policy in policies] == observed
    assert isinstance(policies[1], Vacuum)
    assert policies[1].mode in {"auto", "always"}
