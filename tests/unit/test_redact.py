"""Redaction replaces every secret, wherever it is, and changes nothing else."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops_pipeline.audit.redact import DEEPEST, REDACTED, redactor

SECRET_NAMES = (
    "sessionToken", "SessionToken", "session_token", "session-token", "secretAccessKey", "SECRET_ACCESS_KEY",
    "password", "Password", "masterUserPassword", "MasterUserPasswords", "new.password", "authorization",
    "Proxy-Authorization", "privateKey", "X-Amz-Security-Token", "xAmzSecurityToken", "clientSecret", "token",
    "X-Api-Key", "webIdentityToken", "SecretString", "Set-Cookie", "passphrase",
)  # fmt: skip
PLAIN_NAMES = (
    "accessKeyId", "nextToken", "clientRequestToken", "httpTokens", "passwordResetRequired", "secretId",
    "SecretARN", "forceOverwriteReplicaSecret", "mfaAuthenticated", "keyId", "eventName", "signatureVersion",
    "principalId", "credentials", "iAMDatabaseAuthenticationEnabled", "", "é\0",
)  # fmt: skip
SECRET = "hunter2-hunter2"
redact = redactor(None).redact

plain_texts = st.text(alphabet='abcäß .:/{}[\\"0', max_size=20).map(lambda text: f"- {text}")
plain = plain_texts | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
secrets = st.sampled_from([SECRET, {"inner": [SECRET]}, [SECRET, 1], f"{{{SECRET}", 17])


def objects(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with plain and secret entries, some of them as JSON inside a text."""
    entries = st.tuples(st.sampled_from(PLAIN_NAMES), children) | st.tuples(
        st.sampled_from(SECRET_NAMES), secrets
    )
    held = st.lists(entries, max_size=4).map(dict) | st.lists(children, max_size=3)
    return held | held.map(json.dumps) | held.map(lambda value: json.dumps(json.dumps(value)))


data = st.recursive(plain, objects, max_leaves=25)


def holds_secret(value: Any) -> bool:
    return SECRET in json.dumps(value)


@given(data)
@settings(max_examples=300, deadline=None)
def test_every_secret_is_replaced_and_nothing_else_is_changed(value: Any) -> None:
    before = copy.deepcopy(value)

    redacted = redact(value)

    assert not holds_secret(redacted)
    assert without_texts_of_json(redacted) == without_texts_of_json(plainly_redacted(value))
    assert redact(redacted) == redacted, "redacting twice is redacting once"
    assert value == before, "the input is not modified"


def plainly_redacted(value: Any) -> Any:
    match value:
        case dict():
            return {
                name: REDACTED if name in SECRET_NAMES else plainly_redacted(held)
                for name, held in value.items()
            }
        case list():
            return [plainly_redacted(each) for each in value]
        case str() if value[:1] in {"{", "[", '"'}:
            return json.dumps(plainly_redacted(json.loads(value)))
        case _:
            return value


def without_texts_of_json(value: Any) -> Any:
    """Texts of the same JSON are equal, whatever their spaces and escapes."""
    match value:
        case dict():
            return {name: without_texts_of_json(held) for name, held in value.items()}
        case list():
            return [without_texts_of_json(each) for each in value]
        case str() if value[:1] in {"{", "[", '"'} and value != REDACTED:
            return ["JSON", without_texts_of_json(json.loads(value))]
        case _:
            return value


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert redact({"a": [{name: SECRET, "b": 1}]}) == {"a": [{name: REDACTED, "b": 1}]}


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_a_name_that_only_resembles_a_secret_is_readable(name: str) -> None:
    assert redact({name: "AKIAIOSFODNN7EXAMPLE"}) == {name: "AKIAIOSFODNN7EXAMPLE"}


@pytest.mark.parametrize("value", [None, True, False])
def test_null_and_boolean_values_are_not_replaced(value: object) -> None:
    assert redact({"password": value}) == {"password": value}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Bearer abcdefghij.klmnop-qrstuv", "Bearer [redacted]"),
        ("authorization: bearer abcdefghij.klmnop-qrstuv", "authorization: bearer [redacted]"),
        ("the token IQoJb3JpZ2luX2VjEXAMPLEEXAMPLE is used", "the token [redacted] is used"),
        (
            "https://x.test/?X-Amz-Date=1&X-Amz-Security-Token=abc%2F&X-Amz-Signature=0f",
            "https://x.test/?X-Amz-Date=1&X-Amz-Security-Token=[redacted]&X-Amz-Signature=[redacted]",
        ),
        ('run --password="two words" --user=me', "run --password=[redacted] --user=me"),
        ("postgresql://me:hunter2@db/app", "postgresql://me:[redacted]@db/app"),
        ("a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- z", "a [redacted] z"),
        ("-----BEGIN PRIVATE KEY-----\nMII", "[redacted]"),
    ],
)
def test_a_secret_inside_a_text_is_found(text: str, left: str) -> None:
    assert redact({"message": text}) == {"message": left}
    assert redact(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "The bearer of this letter is expected",
        "arn:aws:iam::123456789012:user/password",
        "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
        '{ "a" : 1.50 }',
        "{not JSON",
        "https://x.test/a:b@c?page=2",
    ],
)
def test_a_text_without_a_secret_is_unchanged(text: str) -> None:
    assert redact([text]) == [text]


def test_a_name_and_its_value_in_separate_entries_are_found() -> None:
    given = [{"Key": "db-password", "Value": SECRET}, {"name": "color", "value": "red"}]

    assert redact(given) == [{"Key": "db-password", "Value": REDACTED}, given[1]]


def test_a_secret_given_before_a_harmless_one_of_the_same_name_is_found() -> None:
    assert not holds_secret(redact(f'{{"password": "{SECRET}", "password": null}}'))


@pytest.mark.parametrize("depth", [DEEPEST + 5, 20_000])
def test_a_value_nested_too_deeply_is_replaced(depth: int) -> None:
    text = "[" * depth + f'{{"password": "{SECRET}"}}' + "]" * depth

    assert not holds_secret(redact({"body": text}))


def test_the_time_grows_linearly_with_the_text() -> None:
    """If doubling a text quadrupled the work, this one would take minutes."""
    assert redact("a" * 2_000_000 + "=b") == "a" * 2_000_000 + "=b"
