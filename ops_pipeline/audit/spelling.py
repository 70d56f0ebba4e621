"""Other spellings of an event that are accepted as well."""

import msgspec

from ops_pipeline.audit.event import SERVER_COLUMNS, AuditEvent, EventError
from ops_pipeline.audit.times import without_leap_second


def in_json_spelling(data: bytes | msgspec.Raw) -> bytes | None:
    """An event in the spelling of `AuditEvent` in JSON; None when it is not in another one.

    The others are the names of the table's columns (`event_type`), such as a page returns, and a leap second
    in the time. Columns that only the server sets are left out. Raises EventError for a field that has both
    names.
    """
    try:
        fields = _FIELDS_DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    respelled = _with_json_names(fields)
    if (time := respelled.get("createdAt")) is not None:
        respelled["createdAt"] = _countable(time)
    return msgspec.json.encode(respelled) if respelled != fields else None


def _with_json_names(fields: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    renamed: dict[str, msgspec.Raw] = {}
    for name, value in fields.items():
        if name in SERVER_COLUMNS:
            continue
        own = _COLUMNS.get(name, name)
        if own in renamed:
            raise EventError(own, "is specified twice, in both spellings; specify it once")
        renamed[own] = value
    return renamed


def _countable(time: msgspec.Raw) -> msgspec.Raw:
    try:
        text = msgspec.json.decode(time, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return time
    countable = without_leap_second(text)
    return time if countable == text else msgspec.Raw(msgspec.json.encode(countable))


_COLUMNS = {
    field.name: field.encode_name
    for field in msgspec.structs.fields(AuditEvent)
    if field.name != field.encode_name
}
_FIELDS_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])
