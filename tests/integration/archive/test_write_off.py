"""`opsctl archive write-off` takes a lost file off the list, keeps what was known, refuses what is intact."""

import json
from pathlib import Path

from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.archive.conftest import Opsctl

REASON = ("--reason", "Disk of the old server, no copy")
EVENT = "SELECT details, created_by FROM audit_logs WHERE action = 'archive.written_off'"
RECORDED = "SELECT count(*) FROM ops.archives"


def test_a_lost_file_is_written_off_and_fails_no_run_any_more(
    opsctl: Opsctl, events: Connection, folder: Path
) -> None:
    first = json.loads(opsctl("list", "--json")[1])["archives"][0]
    (folder / first["path"]).unlink()
    assert opsctl("verify")[0] == 1

    code, out, err = opsctl("write-off", first["path"], *REASON, "--by", "ada")

    assert code == 0, err
    assert out == "Wrote off 1 file; 240 rows can no longer be restored.\n"
    assert opsctl("verify")[0] == 0
    ((details, by),) = events.execute(EVENT).fetchall()
    assert by.endswith("on behalf of ada")
    assert {name: details[name] for name in ("path", "table", "day", "rows", "sha256", "reason")} == {
        "path": first["path"], "table": "public.events", "day": first["day"], "rows": 240,
        "sha256": first["sha256"], "reason": REASON[1],
    }  # fmt: skip


def test_a_damaged_file_may_be_written_off_beside_a_lost_one(
    opsctl: Opsctl, events: Connection, folder: Path
) -> None:
    lost, damaged = (file["path"] for file in json.loads(opsctl("list", "--json")[1])["archives"][:2])
    (folder / lost).unlink()
    (folder / damaged).write_bytes(b"x")

    assert opsctl("write-off", lost, damaged, *REASON)[0] == 0
    assert scalar(events, RECORDED) == 3


def test_an_intact_or_unknown_file_is_refused_and_nothing_is_written_off(
    opsctl: Opsctl, events: Connection, folder: Path
) -> None:
    lost, intact = (file["path"] for file in json.loads(opsctl("list", "--json")[1])["archives"][:2])
    (folder / lost).unlink()

    for wrong, said in ((intact, "is intact"), ("events/absent.parquet", "is not recorded")):
        code, _, err = opsctl("write-off", lost, wrong, *REASON)
        assert (code, said in err) == (1, True), err
    assert scalar(events, RECORDED) == 5


def test_in_the_wrong_storage_nothing_is_written_off(
    opsctl: Opsctl, events: Connection, folder: Path
) -> None:
    one = json.loads(opsctl("list", "--json")[1])["archives"][0]["path"]
    for file in folder.rglob("*.parquet"):
        file.unlink()

    code, _, err = opsctl("write-off", one, *REASON)

    assert (code, "probably not the storage" in err) == (1, True), err
    assert scalar(events, RECORDED) == 5
