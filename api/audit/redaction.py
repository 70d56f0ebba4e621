"""Takes the secrets out of an event as it was sent, before anything else reads it."""

import json
from typing import Any

import msgspec

from api.audit.body import Json
from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.audit.redact import Redactor


def without_secrets(item: Json, redactor: Redactor) -> Json | None:
    """The JSON of an event without its secrets, and `item` itself where it has none.

    None for what is not a JSON object, of which nothing can be stored. Names are compared in `details`; of
    the event's own fields, which are not secrets, the texts are searched. Numbers stay as they are written.
    """
    if redactor.replaces_nothing:
        return item
    try:
        fields = msgspec.json.decode(item)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    if _redacted(fields, redactor) is fields:
        return item
    exact = json.loads(bytes(item), parse_int=_as_written, parse_float=_as_written)
    return msgspec.json.encode(_redacted(exact, redactor))


def _redacted(fields: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    replaced: dict[str, Any] = {}
    for name, value in fields.items():
        if name in SEARCHED and (redacted := redactor.redact(value)) is not value and redacted != value:
            replaced[name] = redacted
    for name in replaced.keys() & LONGEST.keys():
        # A text that only redaction has made too long is cut, so that the event is not refused.
        if isinstance(replaced[name], str) and len(fields[name]) <= LONGEST[name]:
            replaced[name] = replaced[name][: LONGEST[name]]
    return {**fields, **replaced} if replaced else fields


def _as_written(number: str) -> msgspec.Raw:
    return msgspec.Raw(number.encode())


def _longest() -> dict[str, int]:
    """The most characters of each field that is a text, by both of its names."""
    lengths: dict[str, int] = {}
    event = msgspec.inspect.type_info(AuditEvent)
    assert isinstance(event, msgspec.inspect.StructType)  # noqa: S101 - for the type checker
    for field in event.fields:
        types = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        for kind in types:
            if isinstance(kind, msgspec.inspect.StrType) and kind.max_length is not None:
                lengths[field.name] = lengths[field.encode_name] = kind.max_length
    return lengths


LONGEST = _longest()
SEARCHED = {"details", *LONGEST}
