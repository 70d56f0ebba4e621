"""Names that need quotes work everywhere, and are never taken for another table's."""

from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import sql as compose

from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.restore import restore
from ops_pipeline.holds import holds
from ops_pipeline.maintenance.kinds import carry_out, plan
from ops_pipeline.maintenance.orphans import triggers
from ops_pipeline.maintenance.orphans.policy import Orphans
from ops_pipeline.maintenance.plan import DeletePlan, Method
from ops_pipeline.maintenance.retention import method
from ops_pipeline.partitions.adopt.adopt import adopt_table
from ops_pipeline.partitions.gaps import days_without_partition
from ops_pipeline.partitions.partition import existing
from ops_pipeline.policies.file import PolicyError
from ops_pipeline.policies.model import Database
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.postgres.relation import Relation, TableName, find_relation, quoted
from ops_pipeline.settings import Settings
from ops_pipeline.storage import location

Read = Callable[[str], Database]

NAMES = [
    'say"so', "My.Select 100%",
    *(pytest.param(name, marks=pytest.mark.prove) for name in ("Events", "select", "100%", "naïve")),
]  # fmt: skip
COLUMNS = [
    "%(at)s", 'say"so', "a,(b)", "n" * 63,
    *(
        pytest.param(name, marks=pytest.mark.prove)
        for name in ("At", "my at", "a.b", "100%", '"at"', "{at}", "ö" * 31)
    ),
]  # fmt: skip
"""The worst name of each kind in every test run, the others in the proofs."""
HEAD = "version: 1\ndatabases:\n  app:\n    url: x\n"


def run(connection: Connection, statement: str, **names: str) -> None:
    identifiers = {key: compose.Identifier(*name.split("/")) for key, name in names.items()}
    connection.execute(compose.SQL(statement).format(**identifiers))


def table_of(connection: Connection, name: str) -> Relation:
    return find_relation(connection, TableName("public", name))


def rows(connection: Connection, *name: str) -> int:
    statement = compose.SQL("SELECT count(*) FROM {}").format(compose.Identifier(*name))
    return int(scalar(connection, statement))


def tables(connection: Connection, name: str) -> None:
    """Sixty days of rows in a table of that name, and in the tables that the name means when read as SQL."""
    for each in dict.fromkeys([name, name.lower(), name.strip('"%')]):
        run(
            connection,
            "CREATE TABLE {table} (id int, {at} timestamptz) PARTITION BY RANGE ({at});"
            "CREATE TABLE {rest} PARTITION OF {table} DEFAULT;"
            "CREATE TABLE {old} PARTITION OF {table} FOR VALUES FROM ('2020-01-01') TO ('2020-01-02');"
            "INSERT INTO {table} SELECT n, now() - make_interval(days => n) FROM generate_series(0, 59) AS n;"
            "INSERT INTO {table} VALUES (100, '2020-01-01 12:00')",
            table=each,
            at=f"{name}_at",
            rest=f"the rest of {each}",
            old=f"{each} 2020.01%",
        )


def retention(read: Read, name: str, more: str = "") -> Database:
    keys = f"table: '{quoted(name)}', column: '{quoted(f'{name}_at')}'"
    return read(
        f"{HEAD}    retention:\n      - {{{keys}, keep: 30 days, guard: {{max_fraction: 1}}{more}}}\n"
    )


@pytest.mark.parametrize("more", ["", ", partition: day", ", archive: true, partition: day"])
@pytest.mark.parametrize("name", NAMES)
def test_retention_deletes_from_its_own_table_only(
    connection: Connection, read: Read, tmp_path: Path, name: str, more: str
) -> None:
    tables(connection, name)
    others = {each: rows(connection, each) for each in (name.lower(), name.strip('"%')) if each != name}
    partitions_of_others = {each: len(existing(connection, table_of(connection, each))) for each in others}
    database = retention(read, name, more)
    (policy,) = database.policies
    (planned,) = plan(connection, database.policies)
    assert isinstance(planned, DeletePlan), planned
    settings = Settings(archive_url=str(tmp_path))

    result = carry_out(connection, policy, settings=settings)

    assert (result.removed, result.remaining, planned.rows.eligible) == (31, 0, 31)
    assert rows(connection, name) == 30
    assert {each: rows(connection, each) for each in others} == others
    table = table_of(connection, name)
    made = existing(connection, table)
    assert f"{name} 2020.01%" not in {each.name for each in made}
    if "partition" in more:
        assert days_without_partition(connection, table, 14) == []
        assert len(made) > 40
    assert partitions_of_others == {
        each: len(existing(connection, table_of(connection, each))) for each in others
    }
    if "archive" in more:
        archive = Archive(location.storage(str(tmp_path)), connection)
        restored = restore(connection, archive, quoted(name), first=None, last=None, by="ada")
        assert restored.rows == 31
        assert rows(connection, name) == 61
        assert {each: rows(connection, each) for each in others} == others


@pytest.mark.parametrize("name", NAMES)
def test_a_hold_covers_its_own_table_only(connection: Connection, read: Read, name: str) -> None:
    tables(connection, name)
    hold = holds.add(connection, quoted(name), "id = 100", reason="x", owner="y", by="z")

    assert holds.covered(connection, hold, seconds=10) == 1
    assert carry_out(connection, retention(read, name).policies[0]).removed == 30
    assert rows(connection, f"{name} 2020.01%") == 1
    for other in {name.lower(), name.strip('"%')} - {name}:
        run(
            connection,
            "ALTER TABLE {table} RENAME {old} TO {new}",
            table=other,
            old=f"{name}_at",
            new=f"{other}_at",
        )
        assert carry_out(connection, retention(read, other).policies[0]).removed == 31


@pytest.mark.parametrize("track", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_orphan_cleanup_deletes_from_its_own_table_only(
    connection: Connection, read: Read, name: str, *, track: bool
) -> None:
    for each in dict.fromkeys([name, name.lower()]):
        run(
            connection,
            "CREATE TABLE {parents} (id text, at int) PARTITION BY RANGE (at);"
            "CREATE TABLE {part} PARTITION OF {parents} DEFAULT; CREATE INDEX ON {parents} (id);"
            "CREATE TABLE {table} ({key} text); CREATE INDEX ON {table} ({key});"
            "INSERT INTO {parents} SELECT 'parent ' || n || '%%', n FROM generate_series(1, 100) AS n;"
            "INSERT INTO {table} SELECT 'parent ' || n || '%%' FROM generate_series(1, 100) AS n",
            parents=f"of_{each}",
            part=f"parts of {each}.a",
            table=each,
            key=f"{name}_id",
        )
    parent = quoted(f"of_{name}")
    keys = f"table: '{quoted(name)}', column: '{quoted(f'{name}_id')}', references: '{parent}.id'"
    keys += ", grace_period: 0 seconds"
    database = read(f"{HEAD}    orphans:\n      - {{{keys}, track: {str(track).lower()}}}\n")
    (policy,) = database.policies
    assert isinstance(policy, Orphans)
    if track:
        triggers.install(connection, policy, by="ada")
        carry_out(connection, policy)
    run(connection, "DELETE FROM {parents} WHERE at <= 10", parents=f"of_{name}")

    result = carry_out(connection, policy)

    assert result.removed == 10
    assert rows(connection, name) == 90
    assert name == name.lower() or rows(connection, name.lower()) == 100
    if track:
        assert result.details["source"] == "record"
        assert len(triggers.remove(connection, policy.name, by="ada")) > 2
        assert triggers.triggers(connection, policy.name) == []


@pytest.mark.parametrize("name", [*NAMES, "my table", "a.b"])
def test_an_adoption_changes_its_own_table_only(connection: Connection, name: str) -> None:
    for each in dict.fromkeys([name, name.lower()]):
        run(
            connection,
            "CREATE TABLE {table} (id int PRIMARY KEY, {at} timestamptz NOT NULL);"
            "INSERT INTO {table} SELECT n, now() - make_interval(days => n) FROM generate_series(1, 20) AS n",
            table=each,
            at=f"{name} at",
        )

    assert (
        adopt_table(
            connection, find_relation(connection, TableName("public", name)), column=f"{name} at"
        ).rows
        == 20
    )

    assert rows(connection, name) == 20
    assert len(existing(connection, table_of(connection, name))) > 20
    assert rows(connection, name.lower()) == 20


def test_the_triggers_of_a_policy_with_a_similar_name_are_left_alone(
    connection: Connection, read: Read
) -> None:
    connection.execute(
        "CREATE TABLE people (id int PRIMARY KEY); CREATE TABLE user_notes (person int);"
        "CREATE TABLE user1notes (person int)"
    )
    keys = "column: person, references: people.id, track: true"
    database = read(f"{HEAD}    orphans: [{{table: user_notes, {keys}}}, {{table: user1notes, {keys}}}]\n")
    for policy in database.policies:
        assert isinstance(policy, Orphans)
        assert len(triggers.install(connection, policy, by="ada")) == 3

    assert len(triggers.remove(connection, "app/orphans/user_notes.person", by="ada")) == 3

    assert len(triggers.triggers(connection, "app/orphans/user1notes.person")) == 3


@pytest.mark.parametrize("name", ["a.b.c", "", " ", ".", '"a"b'])
def test_an_invalid_name_is_refused_when_the_file_is_read(read: Read, name: str) -> None:
    with pytest.raises(
        PolicyError, match=r"table: .* is not a valid table name; write table or schema.table"
    ):
        read(f"{HEAD}    retention:\n      - {{table: '{name}', column: at, keep: 1 day}}\n")


def test_a_dot_in_a_name_is_never_taken_for_a_schema(connection: Connection, read: Read) -> None:
    run(
        connection,
        "CREATE TABLE {dotted} (at timestamptz); CREATE SCHEMA a; CREATE TABLE a.b (at timestamptz);"
        "INSERT INTO {dotted} VALUES ('2020-01-01'); INSERT INTO a.b VALUES ('2020-01-01'), (now())",
        dotted="a.b",
    )
    policy = read(f"{HEAD}    retention: [{{table: a.b, column: at, keep: 30 days}}]\n").policies[0]

    assert carry_out(connection, policy).removed == 1
    assert (rows(connection, "a.b"), rows(connection, "a", "b")) == (1, 1)


def test_a_key_with_a_percent_sign_is_scanned(
    connection: Connection, read: Read, monkeypatch: pytest.MonkeyPatch, small_batches: None
) -> None:
    connection.execute(
        "CREATE TABLE codes (code text PRIMARY KEY, at timestamptz); CREATE INDEX ON codes (at, code);"
        "INSERT INTO codes SELECT n || '%', '2020-01-01' FROM generate_series(1, 1000) AS n;"
        "INSERT INTO codes SELECT 'x' || n || '%', now() FROM generate_series(1, 1500) AS n; ANALYZE codes"
    )
    policy = read(f"{HEAD}    retention: [{{table: codes, column: at, keep: 30 days}}]\n").policies[0]
    monkeypatch.setattr(method, "judge", lambda *_: Method("keyset scan", "the test says so"))

    assert carry_out(connection, policy).removed == 1000


@pytest.mark.parametrize("scan", ["block-range scan", "time-slice scan", "keyset scan"])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_any_name_is_scanned_by(
    connection: Connection, read: Read, monkeypatch: pytest.MonkeyPatch, name: str, scan: str
) -> None:
    run(
        connection,
        "CREATE TABLE {table} ({at} timestamptz, {key} int PRIMARY KEY); CREATE INDEX ON {table} ({at});"
        "INSERT INTO {table} SELECT now() - make_interval(days => n), n FROM generate_series(0, 59) AS n",
        table=name,
        at=name,
        key=f"{name[:20]} k",
    )
    where = f"{quoted(name)} >= '2000-01-01' AND {quoted(f'{name[:20]} k')} = 40"
    holds.add(connection, quoted(name), where, reason="x", owner="y", by="z")
    monkeypatch.setattr(method, "judge", lambda *_: Method(scan, "the test says so"))
    database = read(
        f"{HEAD}    retention:\n      - table: {in_yaml(name)}\n        column: {in_yaml(name)}\n"
        f"        keep: 30 days\n        guard: {{max_fraction: 1}}\n"
        f"    vacuum: {{tables: [{in_yaml(name)}], mode: always}}\n"
    )

    by_retention, by_vacuum = [carry_out(connection, policy) for policy in database.policies]

    assert (by_retention.removed, by_retention.remaining) == (29, 0)
    assert [table["table"] for table in by_vacuum.details["tables"]] == [f"public.{quoted(name)}"]


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_any_name_has_its_days_archived_and_restored(
    connection: Connection, read: Read, tmp_path: Path, name: str
) -> None:
    run(
        connection,
        "CREATE TABLE {table} ({at} timestamptz NOT NULL, n int, PRIMARY KEY ({at}, n));"
        "INSERT INTO {table} SELECT now() - make_interval(days => n), n FROM generate_series(0, 59) AS n",
        table=name,
        at=name,
    )
    adopt_table(connection, table_of(connection, name), column=name)
    (policy,) = read(
        f"{HEAD}    retention:\n      - table: {in_yaml(name)}\n        column: {in_yaml(name)}\n"
        f"        keep: 30 days\n        guard: {{max_fraction: 1}}\n        archive: true\n"
        f"        partition: day\n"
    ).policies

    assert carry_out(connection, policy, settings=Settings(archive_url=str(tmp_path))).removed == 30

    assert days_without_partition(connection, table_of(connection, name), 14) == []
    archive = Archive(location.storage(str(tmp_path)), connection)
    restored = restore(connection, archive, quoted(name), first=None, last=None, by="ada")
    assert (restored.rows, rows(connection, name)) == (30, 60)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_any_name_may_be_the_reference_of_an_orphans_policy(
    connection: Connection, read: Read, name: str, *, several: bool
) -> None:
    run(
        connection,
        "CREATE TABLE {parents} ({key} text, other int, PRIMARY KEY ({key}, other), UNIQUE ({key}));"
        "CREATE TABLE {table} ({key} text, other int); CREATE INDEX ON {table} ({key}, other);"
        "INSERT INTO {parents} SELECT n || '%', n FROM generate_series(1, 20) AS n;"
        "INSERT INTO {table} SELECT n || '%', n FROM generate_series(1, 20) AS n",
        parents=f"{name[:30]} p",
        table=name,
        key=name,
    )
    parent = quoted(f"{name[:30]} p")
    references = f"{parent}({quoted(name)}, other)" if several else f"{parent}.{quoted(name)}"
    columns = f"[{in_yaml(name)}, other]" if several else in_yaml(name)
    (policy,) = read(
        f"{HEAD}    orphans:\n      - table: {in_yaml(name)}\n"
        f"        column{'s' if several else ''}: {columns}\n"
        f"        references: {yaml_text(references)}\n        grace_period: 0 seconds\n        track: true\n"
    ).policies
    assert isinstance(policy, Orphans)
    triggers.install(connection, policy, by="ada")
    assert carry_out(connection, policy).removed == 0
    run(connection, "DELETE FROM {parents} WHERE other <= 5", parents=f"{name[:30]} p")

    result = carry_out(connection, policy)

    assert (result.removed, result.details["source"]) == (5, "record")
    assert len(triggers.remove(connection, policy.name, by="ada")) == 3


def in_yaml(name: str) -> str:
    """The name as written in policies.yaml: literally, unless it contains a dot or begins with a quote."""
    return yaml_text(quoted(name) if "." in name or name.startswith('"') else name)


def yaml_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
