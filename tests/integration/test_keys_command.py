"""`opsctl keys`: what an administrator sees when keys are created, listed and rotated."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from ops_pipeline.access import keys
from ops_pipeline.postgres.connection import Connection, scalar
from tests.integration.conftest import Done

OPSCTL = Callable[..., Done]
WRITES = ("--scope", "maintenance:write")


@pytest.fixture(autouse=True)
def _environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_DATABASE_URL", url)


def _expiry(connection: Connection, name: str) -> datetime | None:
    expires: datetime | None = scalar(
        connection, "SELECT expires_at FROM ops.api_keys WHERE name = %s", [name]
    )
    return expires


def test_a_key_expires_after_a_year_unless_told_otherwise_and_says_when(
    connection: Connection, opsctl: OPSCTL
) -> None:
    created = opsctl("keys", "create", "--name", "ada", *WRITES)

    expires = _expiry(connection, "ada")
    assert expires is not None
    assert timedelta(days=364) < expires - datetime.now(UTC) <= timedelta(days=365)
    assert (
        f"scopes maintenance:write, valid until {expires.astimezone(UTC):%Y-%m-%d %H:%M} UTC" in created.out
    )
    assert created.out.splitlines()[-1].startswith("ops_")
    forever = opsctl("keys", "create", "--name", "probe", *WRITES, "--expires", "never")
    assert "without expiry" in forever.out
    assert _expiry(connection, "probe") is None
    listed = opsctl("keys", "list").out
    assert "never" in next(line for line in listed.splitlines() if "probe" in line)


def test_a_key_is_limited_to_databases_that_exist(connection: Connection, opsctl: OPSCTL) -> None:
    wrong = opsctl("keys", "create", "--name", "eva", *WRITES, "--database", "ap")
    limited = opsctl("keys", "create", "--name", "eva", *WRITES, "--database", "app")

    assert wrong.code == 2
    assert 'database "ap" does not exist; did you mean "app"?' in wrong.err
    assert "for database app only" in limited.out
    listed = json.loads(opsctl("keys", "list", "--json").out)["keys"]
    assert [key["databases"] for key in listed] == [["app"]]
    (line,) = (line for line in opsctl("keys", "list").out.splitlines() if "eva" in line)
    assert "maintenance:write  app " in line


def test_rotating_shows_the_new_key_once_and_until_when_the_old_one_works(
    connection: Connection, opsctl: OPSCTL
) -> None:
    old = keys.create(connection, "ada", ["audit:read"])

    rotated = opsctl("keys", "rotate", str(old.id)[:8], "--overlap", "12h")

    assert rotated.code == 0, rotated
    stops = keys.list_keys(connection)[1].expires_at
    assert stops is not None
    assert f"The old one works until {stops.astimezone(UTC):%Y-%m-%d %H:%M} UTC" in rotated.out
    new = rotated.out.splitlines()[-1]
    found = keys.find(connection, keys.hashed(new))
    assert found is not None
    assert found.name == "ada"
    assert new not in opsctl("keys", "list", "--json").out
    assert opsctl("keys", "rotate", "nobody").code == 2
    assert opsctl("keys", "rotate", "ada", "--overlap", "soon").code == 2


def test_what_a_database_holds_is_shown_without_its_control_characters(
    connection: Connection, opsctl: OPSCTL
) -> None:
    keys.create(connection, "ada", ["audit:read"])
    connection.execute("UPDATE ops.api_keys SET name = E'a\\x1b]0;title\\x07\\u0085\\u202e'")

    for shown in (opsctl("keys", "list").out, opsctl("keys", "list", "--json").out):
        assert not set(shown) & set("\x1b\x07\x85\u202e")
        assert "]0;title" in shown
