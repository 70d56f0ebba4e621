"""Every setting is documented; an invalid one is named by its variable."""

import re
from pathlib import Path

import pytest

from ops_pipeline import settings

VARIABLES = {
    str(field.validation_alias or f"OPS_{name.upper()}"): field
    for name, field in settings.Settings.model_fields.items()
}
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


@pytest.fixture(autouse=True)
def _no_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_page_and_the_code_name_the_same_settings() -> None:
    documented = set(re.findall(r"^\| `(OPS_\w+)`", PAGE.read_text(), re.MULTILINE))

    assert documented == set(VARIABLES)


def test_the_page_has_the_real_defaults() -> None:
    documented = dict(re.findall(r"^\| `(OPS_\w+)` \| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE))

    for variable, field in VARIABLES.items():
        if field.default is not None:
            assert documented[variable] == f"{field.default}".removesuffix(".0")


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("OPS_API_PORT", "http", "must be a whole number"),
        ("OPS_DAGSTER_URL", "ops.example.com", "must be the address of a website"),
        ("OPS_DAGSTER_URL", "https://ops.example.com/dagster", "at the root of a host"),
        ("OPS_WEBHOOK_URL", "hooks.example.com/s3cret", "must be a web address: https://host/path"),
        ("OPS_HEARTBEAT_URL", "ftp://hc.example.com/s3cret", "must be a web address: https://host/path"),
        ("OPS_HEARTBEAT_URL", "https://hc.example.com:x/s3cret", "must be a web address"),
        ("OPS_API_PORT", "70000", "must be 65535 or less"),
        ("OPS_SHUTDOWN_TIMEOUT_SECONDS", "-1", "must be more than 0"),
        ("OPS_SHUTDOWN_TIMEOUT_SECONDS", "soon", "must be a number"),
        ("OPS_WEBHOOK_FORMAT", "xml", "must be 'json' or 'slack'"),
        ("OPS_DATABASE_URL", "mysql://x", "postgresql://user:password@host:5432/database"),
        ("OPS_DATABASE_URL", "postgresql://me:s3cret@host:5x/db", "its port must be a number"),
        ("OPS_DATABASE_URL", "postgresql://me:s3cret#pw@host/db", "# as %23"),
        ("OPS_DATABASE_URL", "postgresql://me:s3cret/pw@host/db", "/ as %2F"),
        ("OPS_DAGSTER_DATABASE_URL", "postgresql://me:s3cret?pw@host/db", "? as %3F"),
        ("OPS_DAGSTER_URL", "https://me:s3cret/pw@host", "the port in the URL must be a number"),
        ("OPS_FORWARD_HEADER", "s3cret", "the name and value of one header"),
        ("OPS_FORWARD_HEADER", "Authorization: a\nb: s3cret", "the name and value of one header"),
        ("OPS_FORWARD_HEADER", "Content-Type: s3cret", "is set by opsctl forward itself"),
        ("OPS_FORWARD_SECRET", "s3cret", "must be whsec_ and 24 to 64 random bytes"),
        ("OPS_FORWARD_SECRET", "whsec_s3cret==", "must be whsec_ and 24 to 64 random bytes"),
        ("OPS_SCHEMA", 'a"b', "write ASCII letters, digits and underscores"),
        ("OPS_SCHEMA", "public", "the application's schema"),
        ("OPS_AUDIT_LOG_SCHEMA", "pg_catalog", "one of PostgreSQL's own schemas"),
        ("OPS_AUDIT_REDACTED_FIELDS", " , ", "write names, separated by commas"),
        ("OPS_AUDIT_REDACTED_FIELDS", "iban,none", "'none' is not a name"),
        ("OPS_AUDIT_REDACTED_FIELDS", "iban, *", "'*' is not a name"),
        ("OPS_AUDIT_REDACTED_FIELDS", "pass*word", "* for any beginning"),
    ],
)
def test_an_invalid_value_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, advice: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(settings.SettingsError) as caught:
        settings.load()

    assert str(caught.value).startswith(f"{variable}: ")
    assert advice in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", "")

    assert settings.load().database_url is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("iban, *PhoneNumber ,", ("iban", "*PhoneNumber")),
        ("default,iban", ("default", "iban")),
        ("none", ()),
        ("", None),
    ],
)
def test_the_redacted_fields_are_a_list_of_names(
    monkeypatch: pytest.MonkeyPatch, text: str, names: tuple[str, ...] | None
) -> None:
    monkeypatch.setenv("OPS_AUDIT_REDACTED_FIELDS", text)

    assert settings.load().audit_redacted_fields == names


def test_no_password_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", "postgresql://me:s3cret@db/app")
    monkeypatch.setenv("OPS_WEBHOOK_URL", "https://hooks.example.com/s3cret")
    monkeypatch.setenv("OPS_HEARTBEAT_URL", "https://hc.example.com/s3cret")
    monkeypatch.setenv("OPS_FORWARD_URL", "https://siem.example.com/s3cret")
    monkeypatch.setenv("OPS_FORWARD_HEADER", "Authorization: Bearer s3cret")
    monkeypatch.setenv("OPS_FORWARD_SECRET", "whsec_" + 8 * "s3cret+/")

    assert "s3cret" not in repr(settings.load())


def test_an_invalid_url_is_reported_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", "postgresql://me:s3cr%et@db/app")

    with pytest.raises(settings.SettingsError) as caught:
        settings.load()

    assert "OPS_DATABASE_URL: the URL is invalid; " in str(caught.value)
    assert "in a password write % as %25" in str(caught.value)
    assert "s3cr" not in str(caught.value)
