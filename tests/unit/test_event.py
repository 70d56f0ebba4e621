"""An event that PostgreSQL can store is accepted; any other is refused by field, with advice."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops_pipeline.audit.event import AuditEvent, EventError, convert, decode

FULL: dict[str, Any] = {
    "eventType": "session.closed",
    "id": "5a1d5e0c-32a4-4c79-9d33-0c1c6a9d0c11",
    "userId": "00000000-0000-4000-8000-00000000a11c",
    "resourceType": "session",
    "resourceId": "0b0e3d2e-0000-4000-8000-000000000001",
    "action": "close",
    "details": {"model": "m", "deep": [{"ä": None}]},
    "ipAddress": "192.0.2.7",
    "status": "success",
    "durationMs": 12,
    "createdAt": "2026-03-01T13:00:00+01:00",
    "createdBy": "nightly",
}


def test_names_are_camel_case_on_the_wire_and_columns_inside() -> None:
    event = decode(json.dumps(FULL).encode())

    assert event == convert(FULL)
    assert event.user_id == UUID(FULL["userId"])
    assert event.created_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert (event.duration_ms, event.created_by) == (12, "nightly")
    assert msgspec.json.decode(msgspec.json.encode(event), type=AuditEvent) == event


def test_only_the_type_is_required() -> None:
    assert decode(b'{"eventType": "ping"}') == AuditEvent(event_type="ping")


@pytest.mark.parametrize(
    ("change", "field", "advice"),
    [
        ({"eventType": None}, "eventType", "str"),
        ({"eventType": ""}, "eventType", "length >= 1"),
        ({"eventType": "x" * 51}, "eventType", "length <= 50"),
        ({"eventType": "a\0"}, "eventType", "NUL"),
        ({"userId": "alice"}, "userId", "UUID"),
        ({"resourceType": "x" * 51}, "resourceType", "<= 50"),
        ({"resourceId": 7}, "resourceId", "uuid"),
        ({"action": "x" * 101}, "action", "<= 100"),
        ({"action": "a\0b"}, "action", "NUL"),
        ({"createdBy": "x" * 256}, "createdBy", "<= 255"),
        ({"details": []}, "details", "object"),
        ({"details": {"a": [{"b\0": 1}]}}, "details", "NUL"),
        ({"details": {"a": ["\0"]}}, "details", "NUL"),
        ({"ipAddress": "localhost"}, "ipAddress", "192.0.2.7"),
        ({"ipAddress": "fe80::1%eth0"}, "ipAddress", "192.0.2.7"),
        ({"ipAddress": "10.0.0.1/255.0.0.0"}, "ipAddress", "192.0.2.7"),
        ({"status": "fine"}, "status", "success, failure, pending"),
        ({"durationMs": -1}, "durationMs", ">= 0"),
        ({"durationMs": 2**31}, "durationMs", "<= 2147483647"),
        ({"durationMs": "12"}, "durationMs", "int"),
        ({"createdAt": "2026-03-01T12:00:00"}, "createdAt", "timezone"),
        ({"createdAt": "1969-12-31T23:59:59Z"}, "createdAt", "1970"),
        ({"createdAt": "2200-01-01T00:00:00Z"}, "createdAt", "2200"),
        ({"createdAt": "yesterday"}, "createdAt", "RFC3339"),
        ({"event_type": "a"}, "event_type", "the fields are: eventType"),
    ],
)
def test_an_invalid_value_is_named_by_field_with_advice(
    change: dict[str, Any], field: str, advice: str
) -> None:
    with pytest.raises(EventError) as caught:
        decode(json.dumps(FULL | change).encode())

    assert caught.value.field == field
    assert advice in caught.value.reason


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b'{"eventType": "\xff"}', b'{"eventType": "\\ud800"}'],
)
def test_a_value_that_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(EventError):
        decode(body)


def test_details_nested_too_deeply_are_refused() -> None:
    with pytest.raises(EventError, match="nested too deeply"):
        decode(b'{"eventType": "a", "details": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}")


@pytest.mark.parametrize("address", ["192.0.2.7", "10.0.0.0/8", "::1", "2001:db8::/32", "::ffff:192.0.2.7"])
def test_every_form_of_ip_address_is_accepted(address: str) -> None:
    assert convert({"eventType": "a", "ipAddress": address}).ip_address == address


def test_half_a_surrogate_pair_is_refused_before_the_database_sees_it() -> None:
    with pytest.raises(EventError) as caught:
        convert({"eventType": "a", "details": {"a": "\ud800"}})
    assert caught.value.field == "details"


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(msgspec.json.encode))
def test_any_input_is_an_event_or_an_event_error(body: bytes) -> None:
    with suppress(EventError):
        decode(body)
