"""CloudTrail files become audit events as far as they can be read; the rest is reported."""

import gzip
import json
import shutil
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid5

import pytest

from ops_pipeline.audit.importers.cloudtrail import (
    NAMESPACE,
    ImportProgress,
    ImportReport,
    Rejection,
    event,
    import_files,
)
from ops_pipeline.cli.imports import import_deliveries
from ops_pipeline.postgres.connection import Connection, row
from ops_pipeline.settings import Settings
from tests.integration.cloudtrail_records import count, record, run

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a delivery with these records and returns its path."""

    def file(*records: Any, name: str = "delivery.json.gz") -> Path:
        path = tmp_path / name
        data = json.dumps({"Records": records}).encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return file


def test_an_event_in_two_files_is_stored_once(connection: Connection, write: Write) -> None:
    report = run(connection, write(record(1), record(2), name="a.json"), write(record(2), record(3)))

    assert report == ImportReport(4, 3, 1, 0, ())
    assert run(connection, write(record(5), record(5))) == ImportReport(2, 1, 1, 0, ())


def test_an_import_redacts_by_the_list_of_the_settings(
    url: str, connection: Connection, write: Write
) -> None:
    file = write(record(1, requestParameters={"my-IBANs": "DE02", "password": "x"}))

    import_deliveries(Settings(database_url=url, audit_redacted_fields=("*iban",)), [file])

    assert row(connection, "SELECT details->'requestParameters' FROM audit_logs WHERE origin = 'import'") == (
        {"my-IBANs": "[redacted]", "password": "x"},
    )


def test_folders_are_read_in_depth_and_other_files_are_left_alone(
    connection: Connection, tmp_path: Path, write: Write
) -> None:
    (tmp_path / "2023" / "07").mkdir(parents=True)
    write(record(1), name="2023/07/b.json")
    write(record(2), name="2023/a.JSON.GZ".lower())
    (tmp_path / "notes.txt").write_text("nothing of ours")
    seen: list[ImportProgress] = []

    report = import_files(connection, [tmp_path], report_progress=seen.append)

    assert (report.stored, report.rejected) == (2, 0)
    assert [(each.done, each.total, each.stored) for each in seen] == [(1, 2, 1), (2, 2, 2)]
    assert [Path(each.file).name for each in seen] == ["b.json", "a.json.gz"]


def test_the_complete_records_of_a_truncated_file_are_stored(connection: Connection, write: Write) -> None:
    file = write(*(record(number) for number in range(1, 11)), name="cut.json")
    text = file.read_bytes()
    file.write_bytes(text[: text.index(b"000000000007") + 3])

    report = run(connection, file, write(record(11)))

    (rejection,) = report.rejections
    assert (rejection.file, rejection.record) == (str(file), None)
    assert "is truncated" in rejection.reason
    assert "6 complete records" in rejection.reason
    assert (report.read, report.stored, report.duplicate, report.rejected) == (8, 7, 0, 1)


@pytest.mark.parametrize("part", [0.0005, 0.3, 0.7, 0.999])
def test_the_readable_records_of_a_truncated_gzip_file_are_stored(
    connection: Connection, cloudtrail: Path, tmp_path: Path, part: float
) -> None:
    whole = max(cloudtrail.iterdir(), key=lambda file: file.stat().st_size)
    cut = tmp_path / "cut.json.gz"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * part)])

    report = run(connection, cut)

    (rejection,) = report.rejections
    assert (rejection.file, rejection.record) == (str(cut), None)
    assert f"truncated; the {report.stored} complete records" in rejection.reason
    events = len(json.loads(gzip.decompress(whole.read_bytes()))["Records"])
    assert part - 0.25 < report.stored / events <= 1
    assert run(connection, whole) == ImportReport(events, events - report.stored, report.stored, 0, ())


def test_a_gzip_file_without_its_end_has_all_its_records(connection: Connection, write: Write) -> None:
    file = write(record(1), record(2))
    file.write_bytes(file.read_bytes()[:-8])

    report = run(connection, file)

    assert report.stored == 2
    assert report.rejections[0].reason == "its gzip data is truncated; all of its records were read"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json.gz", b'{"Records": []}', "is not gzip"),
        ("a.json.gz", b"", "is empty"),
        ("a.json.gz", gzip.compress(b'{"Records": []}', mtime=0)[:-8] + b"12345678", "is damaged"),
        ("a.json.gz", gzip.compress(b'{"Records": []}', mtime=0) + b"more", "is damaged"),
        ("a.json", b"<xml/>", '{"Records": [...]}'),
        ("a.json", b"[]", '{"Records": [...]}'),
        ("a.json", b"{nothing}", "not JSON"),
        ("a.json", b'{"Digest": 1}', 'has no "Records"'),
        ("a.json", b'{"Records": {}}', '"Records" is not a list'),
        ("a.json", b'{"Records": ["\xff"]}', "is not UTF-8 text (byte 14)"),
        ("a.json", b'{"Records": [' + b"[" * 100_000, "is nested too deeply"),
        ("a.json", b'{"Records": []} {"Records": []}', "has data after its end"),
        ("a.csv", b"1,2", "does not end in .json or .json.gz"),
    ],
)
def test_an_unreadable_file_is_one_rejection_and_the_import_continues(
    connection: Connection, tmp_path: Path, write: Write, name: str, content: bytes, reason: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)

    report = run(connection, file, write(record(), name="good.json"))

    (rejection,) = report.rejections
    assert (rejection.file, rejection.record) == (str(file), None)
    assert reason in rejection.reason
    assert (report.read, report.stored, report.rejected) == (2, 1, 1)


def test_a_path_that_does_not_exist_is_named(connection: Connection, tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing.json", tmp_path / "empty"
    empty.mkdir()

    assert run(connection, missing, empty).rejections == (
        Rejection(str(missing), None, "cannot be read: No such file or directory"),
        Rejection(str(empty), None, "has no file that ends in .json or .json.gz"),
    )


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"eventTime": None}, "eventTime is required"),
        ({"eventTime": "yesterday"}, "eventTime is not a time with a time zone: 'yesterday'"),
        ({"eventTime": 1688989500}, "eventTime is not a time with a time zone: '1688989500'"),
        ({"eventTime": "2023-07-10T11:45:00"}, "eventTime is not a time with a time zone: '2023"),
        ({"eventTime": "0001-01-01T00:00:00+14:00"}, "eventTime must be between"),
        ({"eventTime": "9999-12-31T23:59:59Z"}, "eventTime must be between"),
    ],
)
def test_a_record_without_a_usable_time_is_rejected_alone(
    connection: Connection, write: Write, wrong: dict[str, Any], reason: str
) -> None:
    file = write(record(1), record(2, **wrong), record(3))

    report = run(connection, file)

    (rejection,) = report.rejections
    assert (rejection.file, rejection.record) == (str(file), 2)
    assert rejection.reason.startswith(reason)
    assert (report.read, report.stored, report.rejected) == (3, 2, 1)


def test_an_item_that_is_no_record_is_rejected_alone(connection: Connection, write: Write) -> None:
    report = run(connection, write(None, record(1), "text", [], 7))

    assert [each.record for each in report.rejections] == [1, 3, 4, 5]
    assert {each.reason for each in report.rejections} == {"is not a JSON object"}
    assert report.stored == 1


def test_values_too_long_for_a_column_are_complete_in_details(connection: Connection, write: Write) -> None:
    name, source, arn = "N" * 300, f"{'s' * 80}.amazonaws.com", f"arn:{'a' * 300}"
    given = record(eventName=name, eventSource=source, userIdentity={"arn": arn})
    given["resources"] = [{"type": "T" * 60, "ARN": arn}]
    assert run(connection, write(given)).stored == 1

    stored = row(connection, "SELECT action, event_type, created_by, resource_type, details FROM audit_logs")
    assert stored == (name[:100], f"aws.{source}"[:50], arn[:255], "T" * 50, given)


def test_characters_that_postgresql_cannot_store_fail_no_batch(connection: Connection, write: Write) -> None:
    odd = record(2, eventName="a\0b", userAgent="\ud83d", requestParameters={"\0": ["\0"], "n": 10**30})
    file = write(record(1), odd, record(3), name="odd.json")
    file.write_bytes(file.read_bytes().replace(b"DescribeInstances", b"raw\x00nul\n", 1))

    assert run(connection, file) == ImportReport(3, 3, 0, 0, ())
    assert count(connection, "action = 'a\N{REPLACEMENT CHARACTER}b'") == 1
    assert count(connection, "action = E'raw\N{REPLACEMENT CHARACTER}nul\n'") == 1
    assert count(connection, f"details->'requestParameters'->>'n' = '{10**30}'") == 1


def test_odd_values_are_no_reason_to_refuse_an_event(connection: Connection, write: Write) -> None:
    odd: list[dict[str, Any]] = [
        {"userIdentity": None, "sourceIPAddress": None, "eventSource": None, "eventName": None},
        {"userIdentity": "root", "sourceIPAddress": 7, "eventSource": [], "eventName": {}},
        {"resources": "none", "errorCode": "", "responseElements": []},
        {"resources": [None], "sourceIPAddress": "fe80::1%eth0", "deep": json.loads("[" * 90 + "]" * 90)},
        {"sourceIPAddress": "2001:db8::1", "huge": float("inf")},
    ]

    report = run(connection, write(*(record(number, **each) for number, each in enumerate(odd, 1))))

    assert report == ImportReport(5, 5, 0, 0, ())
    assert count(connection, "ip_address = 'fe80::1' OR ip_address = '2001:db8::1'") == 2
    assert count(connection, "event_type = 'aws' AND action IS NULL AND created_by IS NULL") == 2


def test_an_id_that_is_no_uuid_is_made_one_and_is_always_the_same(
    connection: Connection, write: Write
) -> None:
    nameless = record(eventName="Nameless")
    del nameless["eventID"]
    file = write(record(eventID="evt-1"), record(eventID="evt-2"), nameless)

    assert run(connection, file).stored == 3
    assert run(connection, file).duplicate == 3
    assert count(connection, "details->>'eventID' IN ('evt-1', 'evt-2')") == 2


def test_a_failed_sign_in_is_a_failure(connection: Connection, write: Write) -> None:
    run(connection, write(record(eventName="ConsoleLogin", responseElements={"ConsoleLogin": "Failure"})))

    assert count(connection, "status = 'failure'") == 1


def test_the_actor_is_the_most_specific_name_in_the_record() -> None:
    def who(**identity: str) -> str | None:
        return event(record(userIdentity=identity)).created_by

    every = {"arn": "arn:aws:iam::1:user/ana", "userName": "ana", "invokedBy": "ec2", "principalId": "AIDA"}
    assert who(**every) == "arn:aws:iam::1:user/ana"
    assert who(userName="ana", principalId="AIDA") == "ana"
    assert who(invokedBy="ec2.amazonaws.com", principalId="AIDA") == "ec2.amazonaws.com"
    assert who(principalId="AIDA") == "AIDA"


def test_an_id_is_derived_from_the_events_own_and_its_time_is_kept() -> None:
    seventh = event(record(7))

    assert seventh.id == uuid5(NAMESPACE, '"00000000-0000-4000-8000-000000000007"')
    assert seventh.created_at == datetime(2023, 7, 10, 11, 45, tzinfo=UTC)


def test_memory_does_not_grow_with_the_number_of_files(
    connection: Connection, tmp_path: Path, write: Write
) -> None:
    file = write(*(record(number, padding="x" * 1_000) for number in range(200)))

    def peak(copies: int) -> int:
        folder = tmp_path / str(copies)
        folder.mkdir()
        for number in range(copies):
            shutil.copy(file, folder / f"{number}.json.gz")
        tracemalloc.start()
        try:
            report = run(connection, folder)
            assert report.read == 200 * copies
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)  # caches that are filled once: regular expressions, prepared statements
    assert peak(20) < 1.5 * peak(2)
