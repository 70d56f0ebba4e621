"""`opsctl archive verify` names every file that is missing, changed or not recorded."""

import json
from pathlib import Path

from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.verify import Verified, verify
from ops_pipeline.postgres.connection import Connection, scalar
from ops_pipeline.storage import location
from tests.integration.archive.removal import remove


def test_a_complete_archive_has_no_problem(url: str, events: Connection, folder: Path) -> None:
    remove(url, events, folder)

    verified = _verify(events, folder)

    assert (verified.files, verified.problems) == (5, ())
    assert (
        scalar(events, "SELECT count(*) FROM ops.archives WHERE verified_ok AND verified_at IS NOT NULL") == 5
    )
    assert events.execute(
        "SELECT status, created_by, details ->> 'files' FROM audit_logs WHERE action = 'archive.verified'"
    ).fetchall() == [("success", "ada", "5")]


def test_each_problem_is_named(url: str, events: Connection, folder: Path) -> None:
    remove(url, events, folder)
    missing, altered, shortened, undescribed, _ = sorted(folder.rglob("part-*.parquet"))
    missing.unlink()
    altered.write_bytes(altered.read_bytes()[:-1] + b"X")
    shortened.write_bytes(shortened.read_bytes()[:-1])
    undescribed.with_name(f"_{undescribed.stem}.json").unlink()
    extra = altered.with_name("part-9-9-ffffffff.parquet")
    extra.write_bytes(undescribed.read_bytes())

    verified = _verify(events, folder)

    said = "\n".join(verified.problems)
    assert len(verified.problems) == 5, said
    for path, what in (
        (missing, "is missing from"),
        (missing, "If no copy exists, write it off as the user that runs `opsctl migrate`: opsctl archive"),
        (altered, "does not match ops.archives: its SHA-256 differs"),
        (shortened, f"bytes; {shortened.stat().st_size + 1:,} are recorded, its SHA-256 differs"),
        (extra, "is not recorded in ops.archives"),
        (undescribed.with_name(f"_{undescribed.stem}.json"), "The archived rows are safe. Put it back"),
    ):
        assert any(path.name in line and what in line for line in verified.problems), (path.name, said)
    damaged = {
        path for (path,) in events.execute("SELECT path FROM ops.archives WHERE NOT verified_ok").fetchall()
    }
    assert damaged == {each.relative_to(folder).as_posix() for each in (missing, altered, shortened)}
    assert scalar(events, "SELECT status FROM audit_logs WHERE action = 'archive.verified'") == "failure"


def test_a_forged_file_with_a_forged_checksum_still_needs_the_right_row_count(
    url: str, events: Connection, folder: Path
) -> None:
    (first, *_, last) = sorted(remove(url, events, folder), key=lambda part: part.path)
    forged = (folder / last.path).read_bytes()
    (folder / first.path).write_bytes(forged)
    events.execute(
        "UPDATE ops.archives SET bytes = %s, sha256 = %s WHERE path = %s",
        [len(forged), last.sha256, first.path],
    )

    (problem,) = _verify(events, folder).problems

    assert "does not match ops.archives: it has 40 rows; 240 are recorded" in problem


def test_a_sample_reads_the_given_number_of_files(url: str, events: Connection, folder: Path) -> None:
    remove(url, events, folder)

    assert _verify(events, folder, sample=2).files == 2
    assert scalar(events, "SELECT count(*) FROM ops.archives WHERE verified_ok") == 2
    assert _verify(events, folder, sample=100).files == 5


def test_another_database_may_share_the_folder(url: str, events: Connection, folder: Path) -> None:
    remove(url, events, folder)
    theirs = folder / "events" / "day=2026-03-01" / "part-1-1-aaaaaaaa.parquet"
    theirs.write_bytes(b"theirs")
    theirs.with_name("_part-1-1-aaaaaaaa.json").write_text(json.dumps({"origin": "another"}))

    assert _verify(events, folder).problems == ()


def _verify(connection: Connection, folder: Path, sample: int | None = None) -> Verified:
    archive = Archive(location.storage(str(folder)), connection)
    return verify(connection, archive, sample=sample, by="ada")
