"""A key is shown once, kept as a hash, and gone when it is taken back."""

import pytest

from ops_pipeline import keys
from ops_pipeline.database import Connection, scalar

VALID = "SELECT count(*) FROM ops.api_keys WHERE key_hash = %s AND revoked_at IS NULL"


def test_only_the_hash_is_kept(connection: Connection) -> None:
    made = keys.create(connection, "probe", ["audit:read", "audit:read"])

    assert made.key.startswith("ops_")
    assert made.scopes == ("audit:read",)
    assert scalar(connection, VALID, [keys.hashed(made.key)]) == 1
    kept = scalar(connection, "SELECT string_agg(k::text, ' ') FROM ops.api_keys AS k")
    assert made.key not in kept


def test_a_key_is_taken_back_by_name_or_id(connection: Connection) -> None:
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
        ("x", ["audit:reed"], "there is: audit:read"),
        ("x", [], "at least one scope"),
        (" ", ["admin"], "name: "),
    ],
)
def test_what_makes_no_sense_is_refused(
    connection: Connection, name: str, scopes: list[str], advice: str
) -> None:
    with pytest.raises(keys.KeyRefusedError, match=advice):
        keys.create(connection, name, scopes)
    assert keys.list_keys(connection) == []
