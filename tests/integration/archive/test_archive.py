"""The archived rows are the deleted rows, each once; rows that are not archived are not deleted."""

import json
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ops_pipeline.archive import arrow_session, write
from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.archive_error import ArchiveError
from ops_pipeline.archive.arrow_session import ArrowSession, ArrowSessionBusyError
from ops_pipeline.archive.files import folder as folder_of
from ops_pipeline.archive.parquet import Encoder
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.storage.filesystem import Folder
from ops_pipeline.storage.storage import StorageError
from tests.integration.archive.removal import POLICY, deletion, remove, source


def test_the_archived_rows_are_the_deleted_rows(url: str, events: Connection, folder: Path) -> None:
    before = events.execute("SELECT id, at, what, amount::text FROM events ORDER BY id").fetchall()

    remove(url, events, folder, condition="target.id <= 600")

    assert _rows(folder) == before[:600]
    assert scalar(events, "SELECT count(*) FROM events") == 400


def test_duckdb_reads_the_folder_on_its_own(url: str, events: Connection, folder: Path) -> None:
    remove(url, events, folder)

    days = _asked(
        folder, 'SELECT day, count(*), min("at") < max("at") FROM read_parquet(?) GROUP BY 1 ORDER BY 1'
    )

    assert [(f"{day}", rows, ordered) for day, rows, ordered in days] == [
        ("2026-03-01", 240, True),
        ("2026-03-02", 240, True),
        ("2026-03-03", 240, True),
        ("2026-03-04", 240, True),
        ("2026-03-05", 40, True),
    ]


def test_an_unfinished_file_does_not_match_the_readers_pattern(
    url: str, events: Connection, folder: Path
) -> None:
    seen: dict[str, int] = {}

    def look(done: str) -> None:
        with duckdb.connect() as reader:
            found = reader.execute("SELECT count(*) FROM glob(?)", [f"{folder}/**/*.parquet"]).fetchone()
        seen[done] = found[0] if found else 0
        if done in {"written", "noted", "committed"}:
            assert len(list(folder.rglob("*.unfinished"))) == 5, (
                "the files exist, but readers do not see them yet"
            )

    remove(url, events, folder, step=look)

    assert seen == {"locked": 0, "reconciled": 0, "written": 0, "noted": 0, "committed": 0, "published": 5}


def test_a_file_has_the_statistics_and_bloom_filters_that_readers_use(
    url: str, connection: Connection, folder: Path
) -> None:
    connection.execute("CREATE TABLE users (id bigint PRIMARY KEY)")
    connection.execute(
        "CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL, what text, session uuid,"
        " customer bigint REFERENCES users, fine boolean UNIQUE)"
    )
    connection.execute(
        "INSERT INTO events SELECT n, '2026-03-01', 'event ' || n, gen_random_uuid() "
        "FROM generate_series(1, 50000) n"
    )

    remove(url, connection, folder)

    (file,) = folder.rglob("*.parquet")
    assert [group.num_rows for group in _groups(file)] == [20_000, 20_000, 10_000]
    for group in _groups(file):
        columns = {column.path_in_schema: column for column in map(group.column, range(group.num_columns))}
        assert all(column.has_column_index and column.has_offset_index for column in columns.values())
        assert all(columns[name].statistics.has_min_max for name in ("id", "at", "what", "session"))
    asked = (
        "SELECT path_in_schema, bloom_filter_length FROM parquet_metadata(?) WHERE bloom_filter_offset > 0"
    )
    with duckdb.connect() as reader:
        filtered = reader.execute(asked, [f"{file}"]).fetchall()
    assert {name for name, _ in filtered} == {"id", "session", "customer"}
    assert max(size for _, size in filtered) < 40_000, "as large as a row group needs, not as a table"


def test_each_archived_file_agrees_with_its_record(url: str, events: Connection, folder: Path) -> None:
    remove(url, events, folder)

    noted = events.execute(
        "SELECT path, rows, bytes, sha256, stored_at IS NOT NULL, oldest, newest "
        "FROM ops.archives ORDER BY path"
    ).fetchall()
    assert [row[0] for row in noted] == sorted(
        each.relative_to(folder).as_posix() for each in folder.rglob("*.parquet")
    )
    for path, rows, size, digest, stored, oldest, newest in noted:
        content = (folder / path).read_bytes()
        beside = json.loads((folder / path).with_name(f"_{Path(path).stem}.json").read_text())
        assert (len(content), sha256(content).hexdigest(), stored) == (size, digest, True)
        assert pq.read_metadata(folder / path).num_rows == rows
        assert (beside["path"], beside["rows"], beside["sha256"]) == (path, rows, digest)
        assert f"day={oldest:%Y-%m-%d}" in path
        assert f"day={newest:%Y-%m-%d}" in path
    assert not list(folder.rglob(".*")), "a temporary file is left over"


def test_rows_without_a_usable_day_are_archived_too(url: str, connection: Connection, folder: Path) -> None:
    connection.execute("CREATE TABLE events (id int, at timestamptz)")
    odd = ["-infinity", "infinity", "4000-01-01 BC", "290000-01-01", "294276-12-31 23:59:59.999999"]
    connection.execute("INSERT INTO events SELECT 1, unnest(%s::text[])::timestamptz", [odd])
    connection.execute("INSERT INTO events VALUES (2, NULL), (3, '1969-12-31 23:59:59.999999')")

    parts = remove(url, connection, folder)

    assert {(str(each.day), each.rows) for each in parts} == {("None", 6), ("1969-12-31", 1)}
    table = pq.read_table(next(folder.glob("events/day=__HIVE*/*.parquet")))
    beyond = [json.loads(each)["at"] for each in table["_out_of_range"].to_pylist() if each]
    assert sorted(beyond) == ["-infinity", "294276-12-31 23:59:59.999999+00", "infinity"]


def test_rows_without_a_time_are_filed_under_the_day_of_removal(
    url: str, events: Connection, folder: Path
) -> None:
    (part,) = remove(url, events, folder, day_column=None)

    assert part.rows == 1000
    assert part.day == scalar(events, "SELECT (now() AT TIME ZONE 'UTC')::date")


def test_a_column_called_day_is_not_hidden_by_the_day_folder(
    url: str, connection: Connection, folder: Path
) -> None:
    connection.execute("CREATE TABLE events (day text, day_ text, at timestamptz)")
    connection.execute("INSERT INTO events VALUES ('mine', 'too', '2026-01-01')")

    remove(url, connection, folder)

    assert _asked(folder, "SELECT day::text, day_, day__ FROM read_parquet(?)") == [
        ("2026-01-01", "too", "mine")
    ]


def test_a_table_whose_name_is_a_path_stays_within_the_archive() -> None:
    names = {name: folder_of("public", name) for name in ("..", "../../etc", ".hidden", "a/b", "%2E", "ok")}

    assert names == {
        "..": "%2E%2E",
        "../../etc": "%2E%2E%2F%2E%2E%2Fetc",
        ".hidden": "%2Ehidden",
        "a/b": "a%2Fb",
        "%2E": "%252E",
        "ok": "ok",
    }
    assert folder_of("app", "ok") == "app.ok"


def test_no_two_tables_share_a_folder() -> None:
    tables = [("public", "a.b"), ("a", "b"), ("a", "b.c"), ("a.b", "c"), ("public", "a%2Eb")]

    assert len({folder_of(*table) for table in tables}) == len(tables)


class FlippedByte(Folder):
    """A disk that returns one wrong byte."""

    def read(self, path: str) -> bytes:
        content = bytearray(super().read(path))
        content[len(content) // 2] ^= 1
        return bytes(content)


class Full(Folder):
    """A disk that is full."""

    def write(self, path: str, content: memoryview) -> None:
        super().write(path, content[: len(content) // 2])
        raise StorageError(f"cannot write {path}: No space left on device")


@pytest.mark.parametrize(
    ("storage", "said"),
    [(FlippedByte, "differs from what was written"), (Full, "No space left on device")],
)
def test_a_faulty_disk_deletes_nothing(
    url: str, events: Connection, folder: Path, storage: type[Folder], said: str
) -> None:
    given = source(events)
    archive = Archive(storage(str(folder)), events)

    with ArrowSession(url, POLICY, "test") as session:
        with (
            pytest.raises(ArchiveError, match=f"{said}.*(Nothing|No row of this batch) was deleted"),
            session.transaction(),
            session.query(deletion(given)) as reader,
        ):
            archive.write(reader, given)

        assert session.execute("DELETE FROM events WHERE id = 1") == 1  # the session can still be used

    assert scalar(events, "SELECT count(*) FROM events") == 999
    assert not [each for each in folder.rglob("*") if each.is_file()]


def test_a_file_that_differs_from_its_rows_deletes_nothing(
    url: str, events: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Encoder.add

    def add_another(self: Encoder, rows: pa.Table) -> None:
        add(self, rows.set_column(2, rows.schema.field(2), pa.array(["other"] * rows.num_rows)))

    monkeypatch.setattr(Encoder, "add", add_another)

    with pytest.raises(ArchiveError, match="row group 0 differs from what was written"):
        remove(url, events, folder)

    assert scalar(events, "SELECT count(*) FROM events") == 1000


def test_a_statement_that_fails_in_the_middle_deletes_nothing(
    url: str, events: Connection, folder: Path
) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        remove(url, events, folder, condition="1 / (999 - target.id) < 2")

    assert scalar(events, "SELECT count(*) FROM events") == 1000
    assert not [each for each in folder.rglob("*") if each.is_file()]


def test_many_days_at_once_stay_within_memory(
    url: str, connection: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute("CREATE TABLE events (id int, at timestamptz, filler text)")
    connection.execute(
        "INSERT INTO events "
        "SELECT n, '2026-01-01'::timestamptz + make_interval(days => n %% 30), repeat('x', 2000) "
        "FROM generate_series(1, 20000) n",
        [],
    )
    for name in ("ROW_GROUP_BYTES", "FILE_BYTES", "OPEN_BYTES", "CLOSING_BYTES"):
        monkeypatch.setattr(write, name, getattr(write, name) // 64)

    parts = remove(url, connection, folder)

    assert len(parts) > 30  # files of some days were closed in the middle and opened again
    assert sum(each.rows for each in parts) == 20_000
    ids = [number for (number,) in _asked(folder, "SELECT id FROM read_parquet(?)")]
    assert Counter(ids) == Counter(range(1, 20_001))


def test_the_rest_of_an_abandoned_query_is_not_waited_for(url: str, events: Connection) -> None:
    # It would take 20 s: 100 kB every 20 ms, and the first ones come after 4 MB.
    slow = "SELECT repeat('x', 100000) AS x, pg_sleep(0.02)::text AS slept FROM generate_series(1, 1000)"
    with ArrowSession(url, POLICY, "test worker") as worker:
        began = time.monotonic()
        with pytest.raises(StorageError), worker.transaction(), worker.query(slow) as reader:  # noqa: PT012
            reader.read_next_batch()
            raise StorageError("it hangs")
        took = time.monotonic() - began

        assert worker.execute("SELECT 1") == 1, "the session can still be used"
    assert took < 10


def test_a_second_worker_of_a_policy_is_refused_while_the_first_works(
    url: str, events: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow_session, "WAIT_FOR_PREDECESSOR", "100ms")

    again = f"earlier session.*Then: opsctl run --policy {POLICY}$"
    with ArrowSession(url, POLICY, "first"), pytest.raises(ArrowSessionBusyError, match=again):
        ArrowSession(url, POLICY, "second")
    with ArrowSession(url, POLICY, "third"), ArrowSession(url, "app/retention/other", "fourth"):
        pass


def _groups(file: Path) -> list[pq.RowGroupMetaData]:
    metadata = pq.read_metadata(file)
    return [metadata.row_group(number) for number in range(metadata.num_row_groups)]


def _rows(folder: Path) -> list[tuple[object, ...]]:
    return _asked(folder, 'SELECT id, "at", what, amount FROM read_parquet(?) ORDER BY id')


def _asked(folder: Path, question: str) -> list[tuple[object, ...]]:
    """The answer of DuckDB, which uses none of our code, from the files of the folder."""
    with duckdb.connect() as reader:
        return reader.execute(question, [f"{folder}/events/*/*.parquet"]).fetchall()
