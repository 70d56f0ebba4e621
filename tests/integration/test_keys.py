"""An API key is shown once, stored as a hash, and useless once it is revoked."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console

import sql
from ops_pipeline.access import expiring, keys
from ops_pipeline.access.rotation import overlap_of, rotate
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
    keys.create(connection, "lasting", ["maintenance:write"], databases=["app"])
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
    assert "never" in next(line for line in shown.getvalue().splitlines() if "lasting" in line)
    assert valid.count("valid") == 2  # its name, and what it is


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\nb", "a\u202eb", "a\u200bb", "\x9b", "a\x7f"])
def test_a_name_with_control_characters_is_refused(connection: Connection, name: str) -> None:
    with pytest.raises(keys.KeyRefusedError, match=r"name: contains U\+[0-9A-F]{4}"):
        keys.create(connection, name, ["admin"])
    assert keys.list_keys(connection) == []
    assert keys.create(connection, "Zoë (Größe), 東京", ["admin"]).name == "Zoë (Größe), 東京"


def test_never_is_an_expiry() -> None:
    assert keys.expiry("never", NOW) is None
    assert keys.expiry(keys.LASTS, NOW) == NOW + timedelta(days=365)


@pytest.mark.parametrize("scopes", [["admin"], ["maintenance:write", "admin"], ["audit:read"]])
def test_only_the_scope_that_a_limit_is_for_can_be_limited(connection: Connection, scopes: list[str]) -> None:
    with pytest.raises(keys.KeyRefusedError, match="database: limits the scope maintenance:write"):
        keys.create(connection, "ada", scopes, databases=["app"])


def test_the_limit_is_stored_found_and_in_the_audit_log(connection: Connection) -> None:
    made = keys.create(connection, "ada", ["maintenance:write"], databases=["b", "a", "b"])

    found = keys.find(connection, keys.hashed(made.key))
    assert found is not None
    assert found.databases == made.databases == keys.list_keys(connection)[0].databases == ("a", "b")
    said = "SELECT details -> 'databases' FROM audit_logs WHERE action = 'key.create'"
    assert scalar(connection, said) == ["a", "b"]


def _details(connection: Connection, action: str, key_id: UUID) -> dict[str, Any]:
    stored = "SELECT details FROM audit_logs WHERE action = %s AND resource_id = %s"
    details: dict[str, Any] = scalar(connection, stored, [action, key_id])
    return details


def test_rotating_a_key_creates_its_like_and_ends_the_old_one_after_the_overlap(
    connection: Connection,
) -> None:
    old = keys.create(connection, "ada", ["maintenance:write", "audit:read"], databases=["app"])

    new, until = rotate(connection, "ada", timedelta(days=7), None)

    assert (new.name, new.scopes, new.databases, new.expires_at) == (old.name, old.scopes, ("app",), None)
    assert timedelta(days=6) < until - datetime.now(UTC) <= timedelta(days=7)
    for made in (old, new):
        assert keys.find(connection, keys.hashed(made.key)) is not None
    rotated, created = _details(connection, "key.rotate", old.id), _details(connection, "key.create", new.id)
    assert (rotated["replaced_by"], created["replaces"]) == (str(new.id), str(old.id))
    assert rotated["expires_at"] == until.isoformat()

    with pytest.raises(keys.KeyRefusedError, match=r"'ada' is ambiguous.*Nothing was changed; write an id"):
        rotate(connection, "ada", timedelta(0), None)
    rotate(connection, str(new.id), timedelta(0), None)
    assert keys.find(connection, keys.hashed(new.key)) is None
    assert keys.find(connection, keys.hashed(old.key)) is not None


def test_an_overlap_never_prolongs_the_old_key_and_an_expired_one_is_not_rotated(
    connection: Connection,
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    keys.create(connection, "soon", ["admin"], tomorrow)
    keys.create(connection, "late", ["audit:read"], tomorrow)
    connection.execute("UPDATE ops.api_keys SET expires_at = now() - interval '1 day' WHERE name = 'late'")

    assert rotate(connection, "soon", timedelta(days=7), None)[1] == tomorrow
    with pytest.raises(keys.KeyRefusedError, match=r"keys create --name late --scope audit:read"):
        rotate(connection, "late", timedelta(days=7), None)
    assert len(keys.list_keys(connection)) == 3


@pytest.mark.parametrize("text", ["", "7", "-1d", "2027-01-01", "week"])
def test_an_overlap_is_a_duration(text: str) -> None:
    with pytest.raises(keys.KeyRefusedError, match=r"overlap: .* write 7d"):
        overlap_of(text)


AGED = """
INSERT INTO ops.api_keys (name, key_hash, scopes, created_at, expires_at, last_used_at, revoked_at)
SELECT name, sha256(name::bytea || created::text::bytea), '{audit:read}', now() + created, now() + expires,
       now() + used, CASE WHEN revoked THEN now() END
FROM (VALUES
  ('a year, soon',      interval '-340 days', interval '25 days', interval '-1 hour',  false),
  ('a year, later',     '-340 days',          '31 days',          '-1 hour',           false),
  ('hours, fresh',      '-1 hour',            '11 hours',         NULL,                false),
  ('hours, at its end', '-9 hours',           '3 hours',          NULL,                false),
  ('revoked',           '-340 days',          '1 day',            '-1 hour',           true),
  ('expired, used',     '-400 days',          '-2 days',          '-3 days',           false),
  ('expired, unused',   '-400 days',          '-2 days',          '-30 days',          false),
  ('expired long ago',  '-400 days',          '-31 days',         '-32 days',          false),
  ('rotated',           '-340 days',          '6 days',           '-2 days',           false),
  ('rotated',           '-1 day',             '364 days',         NULL,                false),
  ('rotated, used',     '-340 days',          '6 days',           '-1 hour',           false),
  ('rotated, used',     '-1 day',             NULL,               NULL,                false),
  ('never expires',     '-900 days',          NULL,               NULL,                false)
) AS keys (name, created, expires, used, revoked)
"""


def test_keys_that_expire_soon_or_have_expired_in_use_are_found(connection: Connection) -> None:
    connection.execute(AGED)

    found = expiring.find(connection)

    assert [key.name for key in found] == [
        "expired, used", "hours, at its end", "rotated, used", "a year, soon"
    ]  # fmt: skip
    assert [key.expired for key in found] == [True, False, False, False]
    assert found[0].remedy == "opsctl keys create --name 'expired, used' --scope audit:read"
    assert found[2].remedy.startswith("Give the newer key")
    assert found[3].remedy == f"opsctl keys rotate {found[3].id}"
    next_one = scalar(connection, sql.get("access/next_expiry"))
    assert next_one == found[1].expires_at
