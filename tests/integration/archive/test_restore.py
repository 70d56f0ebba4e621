"""A restore brings back the archived rows bit by bit, or none of them."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from psycopg import sql as compose

from ops_pipeline.archive import staging
from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.restore import Restored, restore
from ops_pipeline.archive.staging import DamagedError
from ops_pipeline.archive.target import RestoreRefusedError
from ops_pipeline.holds import holds
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.storage import location
from tests.integration.archive.removal import remove


def _restore(connection: Connection, folder: Path, table: str = "events", **how: Any) -> Restored:
    how = {"first": None, "last": None, "by": "ada"} | how
    return restore(connection, Archive(location.storage(str(folder)), connection), table, **how)


def test_the_days_asked_for_are_restored_and_on_hold(url: str, events: Connection, folder: Path) -> None:
    before = events.execute("SELECT *, ctid IS NULL FROM events ORDER BY id").fetchall()
    remove(url, events, folder)

    restored = _restore(events, folder, first=date(2026, 3, 2), last=date(2026, 3, 3))

    assert restored.rows == 480
    assert events.execute("SELECT *, ctid IS NULL FROM events ORDER BY id").fetchall() == before[240:720]
    (hold,) = holds.list_holds(events)
    assert (hold.id, hold.table, hold.reason, hold.owner) == (
        restored.hold, "public.events", "restored from the archive", "ada",
    )  # fmt: skip
    free = compose.SQL("SELECT count(*) FROM events AS target WHERE {}").format(holds.exclusion([hold]))
    assert scalar(events, free) == 0
    marked = events.execute("SELECT day FROM ops.archives WHERE restored_into = 'public.events' ORDER BY day")
    assert [f"{day}" for (day,) in marked] == ["2026-03-02", "2026-03-03"]
    ((details, by),) = events.execute(
        "SELECT details, created_by FROM audit_logs WHERE action = 'archive.restored'"
    ).fetchall()
    assert (by, details["rows"], details["hold"]) == ("ada", 480, restored.hold)


def test_colliding_rows_are_refused_with_their_number_and_an_example(
    url: str, events: Connection, folder: Path
) -> None:
    remove(url, events, folder)
    events.execute("INSERT INTO events (id, what) OVERRIDING SYSTEM VALUE VALUES (17, 'new'), (18, 'new')")

    with pytest.raises(
        RestoreRefusedError, match=r"2 of the 1,000 rows conflict.*\(id\).*\((17|18)\)"
    ) as told:
        _restore(events, folder)

    assert "Nothing was restored" in str(told.value)
    assert scalar(events, "SELECT count(*) FROM events") == 2
    assert holds.list_holds(events) == []
    assert scalar(events, "SELECT count(*) FROM ops.archives WHERE restored_at IS NOT NULL") == 0


@pytest.mark.parametrize("path", ["public", ""])
def test_a_citext_key_that_collides_is_named_whatever_the_search_path_is(
    connection: Connection, url: str, folder: Path, path: str
) -> None:
    connection.execute(
        "CREATE EXTENSION citext; CREATE TABLE events (name citext PRIMARY KEY, at timestamptz);"
        "INSERT INTO events SELECT 'Name ' || n, '2026-03-01' FROM generate_series(1, 10) AS n"
    )
    remove(url, connection, folder)
    connection.execute("INSERT INTO events VALUES ('NAME 7')")
    connection.execute("SELECT set_config('search_path', %s, false)", [path])

    with pytest.raises(RestoreRefusedError, match=r"1 of the 10 rows conflicts.*\(name\).*Name 7"):
        _restore(connection, folder)


def test_rows_with_a_deferrable_key_come_back_or_say_what_collides(
    url: str, events: Connection, folder: Path
) -> None:
    events.execute("ALTER TABLE events DROP CONSTRAINT events_pkey")
    events.execute("ALTER TABLE events ADD PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED")
    before = events.execute("SELECT * FROM events ORDER BY id").fetchall()
    remove(url, events, folder)

    events.execute("INSERT INTO events (id, what) OVERRIDING SYSTEM VALUE VALUES (17, 'new')")
    with pytest.raises(RestoreRefusedError, match=r"\(id\)=\(17\) already exists"):
        _restore(events, folder)
    assert scalar(events, "SELECT count(*) FROM events") == 1
    events.execute("DELETE FROM events")

    assert _restore(events, folder).rows == 1000
    assert events.execute("SELECT * FROM events ORDER BY id").fetchall() == before


def test_a_deferrable_key_of_a_partition_alone_is_no_obstacle(
    url: str, connection: Connection, folder: Path
) -> None:
    connection.execute(
        "CREATE TABLE events (id int, at timestamptz) PARTITION BY RANGE (at);"
        "CREATE TABLE march PARTITION OF events (UNIQUE (id) DEFERRABLE)"
        "  FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');"
        "INSERT INTO events VALUES (1, '2026-03-01')"
    )
    remove(url, connection, folder)

    assert _restore(connection, folder).rows == 1


def test_rows_are_not_restored_twice_even_without_a_key(
    url: str, connection: Connection, folder: Path
) -> None:
    connection.execute(
        "CREATE TABLE events (at timestamptz); INSERT INTO events VALUES ('2026-03-01'), ('2026-03-02')"
    )
    remove(url, connection, folder)
    _restore(connection, folder, last=date(2026, 3, 1))

    restored = _restore(connection, folder)
    with pytest.raises(RestoreRefusedError, match=r"already restored into public\.events"):
        _restore(connection, folder)

    assert (restored.rows, restored.skipped_files) == (1, 1)
    assert scalar(connection, "SELECT count(*) FROM events") == 2


def test_rows_archived_again_come_back_once(url: str, events: Connection, folder: Path) -> None:
    remove(url, events, folder)
    _restore(events, folder)
    remove(url, events, folder)

    assert _restore(events, folder, into="copy").rows == 1000
    assert _restore(events, folder).rows == 1000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE events DROP COLUMN what", 'no longer has the column "what"'),
        ("ALTER TABLE events ALTER what TYPE varchar(10)", r"what was text and is character varying\(10\)"),
        ("DROP TABLE events", "no longer exists"),
        ("ALTER TABLE events ADD CHECK (id <> 5)", "cannot be restored into .*check constraint"),
        (
            "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN NEW.what := upper(NEW.what); RETURN NEW; END';"
            "CREATE TRIGGER shout BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION shout()",
            "trigger of public.events changes inserted rows",
        ),
        (
            "CREATE FUNCTION drop_it() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN IF NEW.id = 5 THEN RETURN NULL; END IF; RETURN NEW; END';"
            "CREATE TRIGGER drop_it BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION drop_it()",
            "1 of the 1,000 rows cannot be inserted into public.events",
        ),
        ("CREATE TABLE others (id bigint PRIMARY KEY); "
         "ALTER TABLE events ADD FOREIGN KEY (id) REFERENCES others",
         r"1,000 rows refer by events_id_fkey \(id\) to rows of public\.others that no longer exist"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_take_the_rows_is_refused_and_unchanged(
    url: str, events: Connection, folder: Path, change: str, said: str
) -> None:
    remove(url, events, folder)
    events.execute(change.encode())

    with pytest.raises(RestoreRefusedError, match=f"(?s){said}.*Nothing was restored. .*--into"):
        _restore(events, folder, triggers=True)

    assert scalar(events, "SELECT count(*) FROM ops.archives WHERE restored_at IS NOT NULL") == 0
    assert _restore(events, folder, into="other").rows == 1000


def test_a_column_added_since_the_archiving_gets_its_default(
    url: str, events: Connection, folder: Path
) -> None:
    remove(url, events, folder)
    events.execute("ALTER TABLE events ADD seen text DEFAULT 'no'")

    _restore(events, folder)

    assert events.execute("SELECT seen, count(*) FROM events GROUP BY 1").fetchall() == [("no", 1000)]


def test_files_archived_with_different_columns_are_restored_together(
    url: str, events: Connection, folder: Path
) -> None:
    remove(url, events, folder, condition="target.id <= 500")
    events.execute("ALTER TABLE events ADD seen text DEFAULT 'no'")
    remove(url, events, folder)

    assert _restore(events, folder).rows == 1000
    assert events.execute("SELECT seen, count(*) FROM events GROUP BY 1").fetchall() == [("no", 1000)]


def test_missing_day_partitions_are_created_before_rows_are_restored(
    url: str, connection: Connection, folder: Path
) -> None:
    connection.execute(
        "INSERT INTO audit_logs (event_type, created_at, details) "
        "SELECT 'e', '2026-01-01'::timestamptz + make_interval(hours => n), jsonb_build_object('n', n) "
        "FROM generate_series(0, 95) n"
    )
    connection.execute("DELETE FROM ops.audit_arrivals")
    remove(url, connection, folder, table="audit_logs", day_column="created_at")

    _restore(connection, folder, "audit_logs", first=date(2026, 1, 1), last=date(2026, 1, 2))

    where = connection.execute(
        "SELECT DISTINCT tableoid::regclass::text FROM audit_logs WHERE event_type = 'e' ORDER BY 1"
    )
    assert [name for (name,) in where] == ["audit_logs_20260101", "audit_logs_20260102"]
    news = connection.execute("SELECT cardinality(ids) FROM ops.audit_arrivals").fetchall()
    assert sum(count for (count,) in news) == 2, (
        "the audit event of the hold and of the restore alone are news"
    )


def test_a_damaged_file_restores_nothing(url: str, events: Connection, folder: Path) -> None:
    remove(url, events, folder)
    broken = sorted(folder.rglob("*.parquet"))[2]
    content = bytearray(broken.read_bytes())
    content[100] ^= 1
    broken.write_bytes(content)

    with pytest.raises(DamagedError, match=f"{broken.name}.*does not match ops.archives"):
        _restore(events, folder)

    assert scalar(events, "SELECT count(*) FROM events") == 0
    assert _restore(events, folder, last=date(2026, 3, 2)).rows == 480


@pytest.mark.parametrize(
    "forged",
    [
        "text); DROP TABLE people; CREATE TABLE x (i int",
        "int DEFAULT evil()",
        "numeric(evil())",
        "no.type",
    ],
)
def test_a_forged_type_never_becomes_part_of_a_statement(
    url: str, events: Connection, folder: Path, forged: str
) -> None:
    events.execute("CREATE TABLE people (id int)")
    remove(url, events, folder)
    events.execute(
        "UPDATE ops.archives SET schema = jsonb_set(schema, '{2,type}', to_jsonb(%s::text))", [forged]
    )

    with pytest.raises(RestoreRefusedError, match=r"what was of type .* does not exist in this database"):
        _restore(events, folder, into="elsewhere")

    assert scalar(events, "SELECT to_regclass('people') IS NOT NULL AND to_regclass('elsewhere') IS NULL")


def test_rows_that_were_never_archived_are_reported(url: str, events: Connection, folder: Path) -> None:
    with pytest.raises(RestoreRefusedError, match="archive of this database has no files"):
        _restore(events, folder)
    remove(url, events, folder)
    with pytest.raises(RestoreRefusedError, match=r'"event".*events'):
        _restore(events, folder, "event")
    with pytest.raises(RestoreRefusedError, match=r"No rows of public\.events were archived"):
        _restore(events, folder, first=date(2027, 1, 1))


def test_orphans_are_not_restored_where_they_would_be_removed_again(
    url: str, events: Connection, folder: Path
) -> None:
    remove(url, events, folder, day_column=None)

    with pytest.raises(RestoreRefusedError, match=r"deleted as orphans.*--into"):
        _restore(events, folder)
    assert _restore(events, folder, into="found").hold is None


def test_leftovers_of_a_killed_restore_are_cleared_by_the_next(
    url: str, events: Connection, folder: Path
) -> None:
    remove(url, events, folder)
    events.execute("CREATE UNLOGGED TABLE ops.restoring_0123456789ab (id int)")

    _restore(events, folder)

    assert not scalar(events, "SELECT count(*) FROM pg_class WHERE relname LIKE 'restoring%'")


def test_a_failure_during_staging_is_reported_and_cleaned_up(
    url: str, events: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove(url, events, folder)
    rows = staging._rows  # noqa: SLF001 - where the failure is injected

    def breaking_off(file_content: bytes, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        yield from rows(file_content, schema)
        raise OSError("the cable is out")

    with monkeypatch.context() as broken:
        broken.setattr(staging, "_rows", breaking_off)
        with pytest.raises(psycopg.OperationalError, match="the cable is out"):
            _restore(events, folder)

    assert not scalar(events, "SELECT count(*) FROM pg_class WHERE relname LIKE 'restoring%'")
    assert _restore(events, folder).rows == 1000


def test_rows_are_restored_from_a_file_under_its_temporary_name(
    url: str, events: Connection, folder: Path
) -> None:
    remove(url, events, folder)
    (path, temporary), *_ = events.execute(
        "UPDATE ops.archives SET stored_at = NULL WHERE day = '2026-03-01' RETURNING path, temporary_path"
    ).fetchall()
    (folder / path).rename(folder / temporary)

    assert _restore(events, folder).rows == 1000
    assert (folder / path).exists()
