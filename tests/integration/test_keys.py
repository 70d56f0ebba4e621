"""An API key is shown once, stored as a hash, and useless once it is revoked."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from ops_pipeline.access import keys
from ops_pipeline.cli import tables
from ops_pipeline.postgres.connection import Connection, scalar

NOW = datetime(2026, 3, 1, tzinfo=UTC)
VALID = "SELECT count(*) FROM ops.api_keys WHERE key_hash = %s AND revoked_at IS NULL"


def test_only_the_hash_of_a_key_is_stored(connection: Connection) -> None:
    made = keys.create(connection, "probe", ["audit:read", "audit:read"])

    assert made.key.startswith("ops_")
    assert made.scopes == ("audit:read",)
    assert scalar(connection, VALID, [keys.hashed(made.key)]) == 1
    kept = scalar(connection, "SELECT string_agg(k::text, ' ') FROM ops.api_keys AS k")
    assert made.key not in kept


def test_a_key_is_revoked_by_name_or_id(connection: Connection) -> None:
    by_name = keys.create(connection, "one", ["admin"])
    by_id = keys.create(connection, "two", ["admin"])

    assert keys.revoke(connection, "one") == 1
    assert keys.revoke(connection, str(by_id.id)) == 1

    for made in (by_name, by_id):
        assert scalar(connection, VALID, [keys.hashed(made.key)]) == 0
    assert all(key.revoked_at is not None for key in keys.list_keys(connection))
    with pytest.raises(keys.KeyRefusedError, match="no valid key"):
        keys.revoke(connection, "one")


@pytest.mark.parametrize(
    ("name", "scopes", "advice"),
    [
        ("x", ["audit:reed"], "the scopes are: audit:read"),
        ("x", [], "at least one scope"),
        (" ", ["admin"], "name: "),
    ],
)
def test_invalid_names_and_scopes_are_refused(
    connection: Connection, name: str, scopes: list[str], advice: str
) -> None:
    with pytest.raises(keys.KeyRefusedError, match=advice):
        keys.create(connection, name, scopes)
    assert keys.list_keys(connection) == []


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("90d", NOW + timedelta(days=90)),
        ("12h", NOW + timedelta(hours=12)),
        ("2027-01-01", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01T12:00:00+02:00", datetime(2027, 1, 1, 10, tzinfo=UTC)),
    ],
)
def test_an_expiry_is_a_duration_or_a_date(text: str, meant: datetime) -> None:
    assert keys.expiry(text, NOW) == meant


@pytest.mark.parametrize("text", ["soon", "90", "-1d", "2027-13-01", "9999999d", "90 days"])
def test_an_invalid_expiry_is_refused(text: str) -> None:
    with pytest.raises(keys.KeyRefusedError, match=r"expires: .* write 90d"):
        keys.expiry(text, NOW)


def test_a_key_with_an_expiry_in_the_past_is_not_created(connection: Connection) -> None:
    with pytest.raises(keys.KeyRefusedError, match="is in the past"):
        keys.create(connection, "late", ["admin"], NOW)
    assert keys.list_keys(connection) == []


def test_the_list_says_when_keys_expire_and_were_last_used(connection: Connection) -> None:
    keys.create(connection, "valid", ["admin"], datetime(2100, 1, 1, tzinfo=UTC))
    keys.create(connection, "gone", ["admin"])
    connection.execute(
        "UPDATE ops.api_keys SET expires_at = '2026-01-02T03:04Z', last_used_at = '2026-01-01T05:06Z' "
        "WHERE name = 'gone'"
    )
    shown = StringIO()

    Console(file=shown, width=200).print(tables.keys_table(keys.list_keys(connection)))

    gone, valid = [line for line in shown.getvalue().splitlines() if "admin" in line]
    assert "2026-01-02 03:04" in gone
    assert "2026-01-01 05:06" in gone
    assert "expired" in gone
    assert "2100-01-01 00:00" in valid
    assert valid.count("valid") == 2  # its name, and what it is
