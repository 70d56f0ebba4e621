"""A posted event loses its secrets and nothing else, whatever its JSON looks like."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.audit.redaction import without_secrets
from ops_pipeline.audit.redact import MOST_KNOWN_NAMES, REDACTED, Redactor, redactor

SECRET = "hunter2-hunter2"
BUILT_IN = redactor(None)

spellings = st.sampled_from(
    ["iban", "IBAN", "i_ban", "I-B-A-N", "ibans", "homePhone", "home.phones", "PHONE"]
)
others = st.sampled_from(["ibanCountry", "myIban", "phoneBook", "name", "password", "é", "key", ""])
plain = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(alphabet="aé-0 ", max_size=8)
secret = st.sampled_from([SECRET, [SECRET], {"a": [{"b": SECRET}]}, 17])


def nested(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    entries = st.tuples(others, children) | st.tuples(spellings, secret)
    return st.lists(entries, max_size=4).map(dict) | st.lists(children, max_size=3)


def expected(value: Any) -> Any:
    match value:
        case dict():
            return {
                name: REDACTED if name in SPELLINGS else expected(content) for name, content in value.items()
            }
        case list():
            return [expected(element) for element in value]
        case _:
            return value


SPELLINGS = {"iban", "IBAN", "i_ban", "I-B-A-N", "ibans", "homePhone", "home.phones", "PHONE"}
NAMES = Redactor(["Iban", "*phones"])


@given(st.recursive(plain, nested, max_leaves=25), st.booleans(), st.sampled_from([None, 1]))
@settings(max_examples=300, deadline=None)
def test_names_of_the_list_are_replaced_and_nothing_else(
    value: Any, ascii_only: bool, indent: int | None
) -> None:
    event = {"eventType": "a", "details": {"value": value}}
    sent = json.dumps(event, ensure_ascii=ascii_only, indent=indent).encode()

    redacted = without_secrets(sent, NAMES)

    assert redacted is not None
    assert json.loads(bytes(redacted)) == expected(event)
    assert (redacted is sent) == (expected(event) == event), "what has no secret is not encoded again"
    assert without_secrets(redacted, NAMES) is redacted, "redacting twice is redacting once"


@pytest.mark.parametrize("number", ["1.10", "1e5", "-0.0", "1E-7", "9" * 30, "0." + "1" * 40])
def test_numbers_stay_as_they_are_written(number: str) -> None:
    sent = f'{{"eventType":"a","durationMs":5,"details":{{"n":[{number}],"pwd":"x"}}}}'.encode()

    assert without_secrets(sent, BUILT_IN) == sent.replace(b'"x"', b'"[redacted]"')


@pytest.mark.parametrize(
    "sent", [b"", b"{", b"[]", b'"a"', b"17", b'{"a": "\xff"}', b'{"a": "\\ud800"}', b"[" * 5000]
)
def test_what_is_no_json_object_is_left_to_the_check(sent: bytes) -> None:
    assert without_secrets(sent, BUILT_IN) is None


def test_the_fields_of_the_event_itself_are_no_secrets_but_their_texts_may_contain_some() -> None:
    names = Redactor(["userId", "action", "token"])
    sent = {
        "eventType": "a",
        "userId": "u",
        "action": "f?token=x",
        "createdBy": "g?token=y",
        "created_by": "h",
    }

    redacted = without_secrets(msgspec.json.encode(sent), names)

    assert redacted is not None
    assert msgspec.json.decode(redacted) == {
        **sent,
        "action": "f?token=[redacted]",
        "createdBy": "g?token=[redacted]",
    }


def test_a_secret_in_a_text_of_json_is_found_beside_what_python_cannot_convert() -> None:
    text = f'{{"n": [{"9" * 5000}, 1e999], "half": "\\ud800", "password": "{SECRET}"}}'

    redacted = without_secrets(msgspec.json.encode({"eventType": "a", "details": {"body": text}}), BUILT_IN)

    assert redacted is not None
    assert SECRET.encode() not in bytes(redacted)
    assert json.loads(json.loads(bytes(redacted))["details"]["body"])["half"] == "\ud800"


def test_what_is_remembered_of_names_is_bounded() -> None:
    names = Redactor(["token"])
    for number in range(3 * MOST_KNOWN_NAMES):
        names.redact({f"name {number}": 1, "x" * (1000 + number % 7): 2})

    assert len(names._known) <= MOST_KNOWN_NAMES  # noqa: SLF001 - what it keeps in memory
    assert max(map(len, names._known)) < 1000  # noqa: SLF001 - the same


def test_a_long_name_is_compared_to_its_end() -> None:
    name = "x" * 5000 + "-Password"

    assert BUILT_IN.redact({name: SECRET}) == {name: REDACTED}


def test_the_built_in_list_can_be_extended() -> None:
    names = redactor(("default", "iban"))

    assert names.redact({"iban": 1, "userPassword": 2, "a": 3}) == {
        "iban": REDACTED,
        "userPassword": REDACTED,
        "a": 3,
    }
