"""CloudTrail records, and the stored events, for the tests of the importer."""

from pathlib import Path
from typing import Any, LiteralString

from ops_pipeline.audit.importers.cloudtrail import ImportReport, import_files
from ops_pipeline.postgres.connection import Connection, scalar


def run(connection: Connection, *paths: Path) -> ImportReport:
    return import_files(connection, paths, report_progress=lambda _: None)


def count(connection: Connection, condition: LiteralString = "true") -> int:
    return int(scalar(connection, f"SELECT count(*) FROM audit_logs WHERE {condition}"))  # noqa: S608 - a literal


def record(number: int = 1, **others: Any) -> dict[str, Any]:
    return {
        "eventID": f"00000000-0000-4000-8000-{number:012}",
        "eventTime": "2023-07-10T11:45:00Z",
        "eventSource": "ec2.amazonaws.com",
        "eventName": "DescribeInstances",
        "sourceIPAddress": "192.0.2.7",
        "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/ana"},
    } | others
