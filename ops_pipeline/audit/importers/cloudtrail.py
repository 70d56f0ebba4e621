"""Imports AWS CloudTrail files into the audit log."""

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import psycopg

from ops_pipeline.audit import delivery
from ops_pipeline.audit.event import AuditEvent, EventError, convert
from ops_pipeline.audit.redact import Redactor, redactor
from ops_pipeline.audit.store import TAKEN, AuditStore
from ops_pipeline.postgres.connection import Connection

NAMESPACE = UUID("6b3c2f1e-9a57-4d0b-8f6e-2d5a7c41e890")
"""The namespace of the ids of imported events: an event that a client posts with a CloudTrail event's id is
another one."""

BUILT_IN = redactor(None)
BATCH = 1_000
FIELDS = {
    "createdAt": "eventTime",
    "eventType": "eventSource",
    "action": "eventName",
    "details": "the record",
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """What was not stored and why. `record`: the record's number in the file, from 1; None: the file
    itself, or the rest of it after its last complete record."""

    file: str
    record: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The result of an import. `read` is always `stored` + `duplicate` + `rejected`.

    Each rejection counts once: a record, or a file that could not be read completely, regardless of how many
    records it had.
    """

    read: int
    stored: int
    duplicate: int
    rejected: int
    rejections: tuple[Rejection, ...]


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """The progress of an import after `file`, number `done` of `total`, with the counts so far."""

    file: str
    done: int
    total: int
    read: int
    stored: int
    duplicate: int
    rejected: int


def import_files(
    connection: Connection,
    paths: Iterable[Path],
    *,
    report_progress: Callable[[ImportProgress], None],
    secrets: Redactor = BUILT_IN,
) -> ImportReport:
    """Stores the events of these CloudTrail files (.json, .json.gz), and of all such files in these folders.

    Importing twice stores nothing twice. What cannot be stored, such as a path that does not exist, is a
    rejection in the report and does not stop the rest. Events are stored in batches of up to 1,000: after an
    interruption, start the import again. `secrets` replaces secrets; memory does not grow with the number of
    files.
    """
    repository = AuditStore(connection, "import")
    tally = _Tally()
    files = [file for path in paths for file in _files(path)]
    for done, file in enumerate(files, 1):
        events = _events(file, tally, secrets)
        while batch := list(islice(events, BATCH)):
            _store(repository, file, batch, tally)
        report_progress(
            ImportProgress(
                str(file), done, len(files), tally.read, tally.stored, tally.duplicate, len(tally.rejections)
            )
        )
    return ImportReport(
        tally.read, tally.stored, tally.duplicate, len(tally.rejections), tuple(tally.rejections)
    )


def event(record: Any, secrets: Redactor = BUILT_IN) -> AuditEvent:
    """The audit event of a CloudTrail record.

    * `id` is a UUID derived from the eventID, in the importer's own namespace; the eventID is in `details`.
    * `event_type` is the service, `aws.ec2` for ec2.amazonaws.com: with the eventName as `action` a
      query can select all calls of a service, or one call. (CloudTrail's own eventType is nearly always
      AwsApiCall, so it would distinguish nothing.)
    * `status` is `failure` with an errorCode or a failed ConsoleLogin, else `success`.
    * `created_by` is the caller: the ARN, else the user name, the invoking service or the principal.
    * `resource_type` is that of the first resource, such as AWS::IAM::Role; its ARN is in `details`.
    * `ip_address` is the sourceIPAddress if it is an address and not a service's name.
    * `details` is the whole record without its secrets, so values truncated in columns are complete there.
      Characters that PostgreSQL cannot store (NUL, halves of a surrogate pair) are replaced with U+FFFD.

    Raises EventError when the record has no valid eventTime or is not a JSON object.
    """
    if not isinstance(record, dict):
        raise EventError("", "is not a JSON object")
    details = _storable(secrets.redact(record))
    identity = _part(details, "userIdentity")
    return convert(
        {
            "id": _id(details),
            "eventType": _service(details)[:50],
            "action": _text(details, "eventName", 100),
            "status": "failure" if _failed(details) else "success",
            "createdAt": _moment(details),
            "createdBy": next(
                (
                    name
                    for key in ("arn", "userName", "invokedBy", "principalId")
                    if (name := _text(identity, key, 255))
                ),
                None,
            ),
            "resourceType": _resource_type(details),
            "ipAddress": _address(details),
            "details": details,
        }
    )


@dataclass(slots=True)
class _Tally:
    read: int = 0
    stored: int = 0
    duplicate: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    def reject(self, file: Path, record: int | None, reason: str) -> None:
        self.rejections.append(Rejection(str(file), record, reason))


def _store(repository: AuditStore, file: Path, batch: list[tuple[int, AuditEvent]], tally: _Tally) -> None:
    """Stores the batch, except events with a value that PostgreSQL refuses."""
    try:
        outcome = repository.log_many([audit_event for _, audit_event in batch])
    except psycopg.DataError as error:
        if len(batch) == 1:
            tally.reject(file, batch[0][0], f"PostgreSQL refused it: {error.diag.message_primary}")
            return
        half = len(batch) // 2
        _store(repository, file, batch[:half], tally)
        _store(repository, file, batch[half:], tally)
    else:
        tally.stored += outcome.stored
        tally.duplicate += outcome.duplicate
        for place in outcome.conflicts:
            number, conflicting = batch[place]
            tally.reject(file, number, f"conflict: {conflicting.id} {TAKEN}")


def _files(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        return [path]
    inside = sorted(file for file in path.rglob("*") if file.name.lower().endswith(delivery.SUFFIXES))
    # A folder without such files is reported instead of skipped: it is probably the wrong one.
    return [file for file in inside if file.is_file()] or [path]


def _events(file: Path, tally: _Tally, secrets: Redactor) -> Iterator[tuple[int, AuditEvent]]:
    try:
        for number, record in enumerate(delivery.records(file), 1):
            tally.read += 1
            try:
                yield number, event(record, secrets)
            except EventError as error:
                tally.reject(file, number, _reason(error))
    except delivery.DeliveryError as error:
        tally.read += 1
        tally.reject(file, None, str(error))


def _reason(error: EventError) -> str:
    name = FIELDS.get(error.field, error.field)
    return f"{name} {error.reason}" if name else error.reason


def _id(details: dict[str, Any]) -> UUID:
    given = details.get("eventID")
    # Without one, so that the same record always has the same id.
    return uuid5(NAMESPACE, json.dumps(given) if given else json.dumps(details, sort_keys=True))


def _service(details: dict[str, Any]) -> str:
    source = details.get("eventSource")
    return f"aws.{source.removesuffix('.amazonaws.com')}" if source and isinstance(source, str) else "aws"


def _failed(details: dict[str, Any]) -> bool:
    # A failed sign-in has an errorMessage and no errorCode.
    return (
        bool(details.get("errorCode")) or _part(details, "responseElements").get("ConsoleLogin") == "Failure"
    )


def _moment(details: dict[str, Any]) -> datetime:
    given = details.get("eventTime")
    if given is None:
        raise EventError("createdAt", "is required")
    try:
        moment = datetime.fromisoformat(given)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        reason = f"is not a time with a time zone: {str(given)[:50]!r}; write 2023-07-10T11:45:00Z"
        raise EventError("createdAt", reason)
    return moment


def _resource_type(details: dict[str, Any]) -> str | None:
    resources = details.get("resources")
    first = resources[0] if isinstance(resources, list) and resources else None
    return _text(first, "type", 50) if isinstance(first, dict) else None


def _address(details: dict[str, Any]) -> str | None:
    given = details.get("sourceIPAddress")
    try:
        # An IPv6 address may have a zone ("fe80::1%eth0"); the column cannot.
        return str(ipaddress.ip_address(given.partition("%")[0])) if isinstance(given, str) else None
    except ValueError:
        return None


def _part(details: dict[str, Any], name: str) -> dict[str, Any]:
    part = details.get(name)
    return part if isinstance(part, dict) else {}


def _text(part: dict[str, Any], name: str, longest: int) -> str | None:
    text = part.get(name)
    return text[:longest] if text and isinstance(text, str) else None


def _storable(value: Any) -> Any:
    match value:
        case dict():
            return {_storable(name): _storable(content) for name, content in value.items()}
        case list():
            return [_storable(element) for element in value]
        case str():
            return re.sub(r"[\0\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", value)
        case _:
            return value
