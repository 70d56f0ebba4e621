"""Folders and buckets store what they are given, or report what is wrong."""

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from ops_pipeline.archive.archive_error import ArchiveError
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.storage import location
from ops_pipeline.storage import s3 as s3_storage
from ops_pipeline.storage.storage import Storage, StorageError, StorageUrlError
from tests.integration.archive.removal import remove


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return location.storage(str(tmp_path / "archive"))
    url: str = request.getfixturevalue("bucket_url")
    return location.storage(url)


def test_a_storage_writes_reads_lists_renames_and_deletes(storage: Storage) -> None:
    storage.write("t/day=2026-01-01/.x", memoryview(b"content"))
    assert storage.read("t/day=2026-01-01/.x") == b"content"
    storage.rename("t/day=2026-01-01/.x", "t/day=2026-01-01/x")

    assert [(each.path, each.size) for each in storage.files("t")] == [("t/day=2026-01-01/x", 7)]
    assert storage.size("t/day=2026-01-01/x") == 7
    assert storage.size("t/day=2026-01-01/.x") is None
    assert list(storage.files("other")) == []
    with pytest.raises(FileNotFoundError):
        storage.read("t/none")
    with pytest.raises(FileNotFoundError):
        storage.rename("t/none", "t/some")
    storage.delete("t/day=2026-01-01/x")
    storage.delete("t/day=2026-01-01/x")
    assert storage.size("t/day=2026-01-01/x") is None


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a//x", "./x", "a/.", "a\\\\..\\\\x"])
def test_no_path_leads_out_of_the_storage(storage: Storage, path: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: storage.write(path, memoryview(b"x")),
        lambda: storage.read(path),
        lambda: storage.rename(path, "y"),
        lambda: storage.rename("y", path),
        lambda: storage.delete(path),
        lambda: storage.size(path),
        lambda: list(storage.files(path)),
    ]
    storage.write("y", memoryview(b"x"))
    for call in calls:
        with pytest.raises(StorageError, match="would lead outside"):
            call()

    assert [file.path for file in storage.files("")] == ["y"]


def test_rows_are_archived_to_a_bucket(url: str, events: Connection, bucket_url: str) -> None:
    parts = remove(url, events, bucket_url)

    kept = location.storage(bucket_url)
    assert scalar(events, "SELECT count(*) FROM events") == 0
    assert sorted(each.path for each in kept.files("events") if each.path.endswith("parquet")) == sorted(
        each.path for each in parts
    )
    assert not [each for each in kept.files("") if "/." in each.path]
    assert "secret" not in kept.name


def test_an_unfinished_object_does_not_match_the_readers_pattern(
    url: str, events: Connection, bucket_url: str
) -> None:
    kept = location.storage(bucket_url)
    seen: dict[str, int] = {}

    def look(done: str) -> None:
        seen[done] = sum(each.path.endswith(".parquet") for each in kept.files(""))

    remove(url, events, bucket_url, step=look)

    assert (seen["written"], seen["committed"], seen["published"]) == (0, 0, 5)


def test_an_unreachable_bucket_deletes_nothing(
    url: str, events: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_storage, "PATIENCE_SECONDS", 0.01)
    nowhere = "s3://me:secret@bucket/x?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"

    with pytest.raises(
        ArchiveError, match=r"cannot list s3://bucket/x/events.*(Nothing|No row of this batch) was deleted"
    ) as told:
        remove(url, events, nowhere)

    assert "secret" not in str(told.value)
    assert scalar(events, "SELECT count(*) FROM events") == 1000


def test_a_bucket_that_does_not_exist_is_not_created(url: str, events: Connection, s3: str) -> None:
    missing = f"s3://me:secret@missing/x?endpoint_override={s3}&scheme=http&region=us-east-1"

    with pytest.raises(ArchiveError, match=r"(Nothing|No row of this batch) was deleted"):
        remove(url, events, missing)

    assert scalar(events, "SELECT count(*) FROM events") == 1000


def test_a_file_that_may_not_grow_deletes_nothing(url: str, events: Connection, folder: Path) -> None:
    # The kernel itself refuses the bytes, as it does on a full disk.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(ArchiveError, match=r"File too large.*(Nothing|No row of this batch) was deleted"):
            remove(url, events, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert scalar(events, "SELECT count(*) FROM events") == 1000
    assert not [each for each in folder.rglob("*") if each.is_file()]


def test_a_folder_that_is_a_file_deletes_nothing(url: str, events: Connection, tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("in the way")

    with pytest.raises(
        ArchiveError, match=r"(Not a directory|File exists).*(Nothing|No row of this batch) was deleted"
    ):
        remove(url, events, tmp_path / "archive")

    assert scalar(events, "SELECT count(*) FROM events") == 1000


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://x/y", "ftp:// is not supported"),
        ("s3:///prefix", "the bucket is missing"),
        ("s3://KEY:sec/ret@bucket/prefix", "write / as %2F"),
        ("s3://bucket?endpoint=x", "endpoint: not an option"),
    ],
)
def test_an_invalid_storage_url_is_reported(url: str, said: str) -> None:
    with pytest.raises(StorageUrlError, match=said):
        location.storage(url)


def test_a_dangling_symbolic_link_counts_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "dangling").symlink_to("/nonexistent")

    assert [file.path for file in location.storage(str(tmp_path)).files("")] == ["sessions/dangling"]


def test_the_error_of_a_full_disk_is_reported(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    storage = location.storage("/dev")
    with pytest.raises(StorageError, match="cannot write"):
        storage.write("full", memoryview(b"x"))


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "free space there"), (errno.EACCES, "may read")])
def test_a_full_disk_is_told_from_a_folder_that_may_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", fail)

    with pytest.raises(StorageError, match=f"cannot write .*: {os.strerror(number)}; .*{said}"):
        location.storage(str(tmp_path)).write("file", memoryview(b"content"))
