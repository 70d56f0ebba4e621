"""The log hides secrets, and no word that happens to equal one."""

import pytest

from api.process.redaction import HIDDEN, Redaction, is_distinctive

KEY = "ops_" + "k" * 43
HOOK = "https://hooks.slack.com/services/T01ABCDEF/B02GHIJKL/aVeryLongWordOfLettersAlone"


def _redaction(*urls: str) -> Redaction:
    made = Redaction()
    made.add(urls)
    return made


def test_a_password_that_is_a_word_leaves_that_word_alone() -> None:
    redaction = _redaction("postgresql://app:app@db/app", "postgresql://postgres:postgres@db/postgres")
    line = 'database "app" of app: permission denied for postgres, relation "app.postgres" of application'

    assert redaction.apply(line) == line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://app:app@db/app", f"postgresql://{HIDDEN}@db/app"),
        ("user=app password=app dbname=app", f"user=app password={HIDDEN} dbname=app"),
        ('{"a": "password=\'x", "b": "it\'s"}', '{"a": "password=\'x", "b": "it\'s"}'),
        ("password='with a \\' quote' host=db", f"password={HIDDEN} host=db"),
        ("ALTER ROLE app PASSWORD 'app'", f"ALTER ROLE app PASSWORD '{HIDDEN}'"),
        ('{"user": "app", "password": "app"}', f'{{"user": "app", "password": "{HIDDEN}"}}'),
        ("AUTH app failed", f"AUTH {HIDDEN} failed"),
        (f"Authorization: Bearer {KEY}", f"Authorization: Bearer {HIDDEN}"),
        ("bearer abc.def-123", f"bearer {HIDDEN}"),
        (f"the key {KEY} is", f"the key {HIDDEN} is"),
    ],
)  # fmt: skip
def test_a_secret_is_hidden_where_it_stands_as_one(text: str, shown: str) -> None:
    assert _redaction("postgresql://app:app@db/app").apply(text) == shown


def test_a_sentence_about_passwords_is_not_changed() -> None:
    for line in (
        'password authentication failed for user "app"',
        "password: is required",
        "a bearer token is required",
        "password application",
    ):
        assert _redaction("postgresql://app:app@db/app").apply(line) == line


def test_a_distinctive_secret_is_hidden_wherever_it_stands() -> None:
    redaction = _redaction(
        "postgresql://me:s3cret%2Fpass@db/app?sslmode=verify-full&application_name=nightly-maintenance",
        "https://them/?token=t0ken-of-theirs",
    )

    assert redaction.apply("s3cret/pass s3cret%2Fpass xt0ken-of-theirs.") == f"{HIDDEN} {HIDDEN} x{HIDDEN}."
    assert redaction.apply("verify-full nightly-maintenance") == "verify-full nightly-maintenance"


def test_a_password_that_equals_a_name_in_the_settings_is_hidden_only_where_it_stands_as_one() -> None:
    redaction = _redaction("postgresql://ops_user_1:ops_user_1@db/app")

    assert redaction.apply("role ops_user_1 lacks SELECT") == "role ops_user_1 lacks SELECT"
    assert redaction.apply("password=ops_user_1") == f"password={HIDDEN}"


def test_the_address_of_a_webhook_is_hidden_in_all_its_parts() -> None:
    redaction = Redaction()
    redaction.add([], [HOOK])

    shown = redaction.apply(f"POST {HOOK} (T01ABCDEF, aVeryLongWordOfLettersAlone) services")

    assert shown == (
        f"POST https://hooks.slack.com/services/{HIDDEN}/{HIDDEN}/{HIDDEN} ({HIDDEN}, {HIDDEN}) services"
    )


@pytest.mark.parametrize(
    ("secret", "distinctive"),
    [
        ("app", False), ("postgres", False), ("maintenance", False), ("20261130", False), ("p@ss1", False),
        ("cache-pass", True), ("hunter2!", True), ("correcthorsebatterystaple", True),
    ],
)  # fmt: skip
def test_distinctive_values_are_no_words_and_no_numbers(secret: str, distinctive: bool) -> None:
    assert is_distinctive(secret) is distinctive
