"""A table goes on as if the restored rows had never been away."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ops_pipeline.archive.archive import Archive
from ops_pipeline.archive.foreign_keys import MissingParents
from ops_pipeline.archive.restore import Restored, restore
from ops_pipeline.archive.target import RestoreRefusedError
from ops_pipeline.postgres import locks
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.locks import LockedError
from ops_pipeline.storage import location
from tests.integration.archive.conftest import Opsctl
from tests.integration.archive.removal import remove

BALANCE = """
CREATE TABLE balance (total numeric);
INSERT INTO balance VALUES (0);
CREATE FUNCTION add_up() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN UPDATE balance SET total = total + NEW.amount; RETURN NULL; END';
"""
ORDERS = """
CREATE TABLE people (id int PRIMARY KEY, name text UNIQUE);
INSERT INTO people SELECT n, 'p' || n FROM generate_series(0, 9) n;
CREATE TABLE orders (id int PRIMARY KEY, at timestamptz DEFAULT '2026-03-01', person int);
INSERT INTO orders SELECT n, '2026-03-01', n %% 10 FROM generate_series(1, 100) n;
"""


def _restore(connection: Connection, folder: Path, table: str = "events", **how: Any) -> Restored:
    how = {"first": None, "last": None, "by": "ada"} | how
    return restore(connection, Archive(location.storage(str(folder)), connection), table, **how)


def _orders(connection: Connection, key: str) -> None:
    connection.execute(ORDERS.replace("%%", "%").encode())
    connection.execute(f"ALTER TABLE orders ADD CONSTRAINT orders_person {key}".encode())


# Triggers


@pytest.mark.parametrize(("triggers", "doubled"), [(False, 1), (True, 2)])
def test_triggers_fire_only_when_asked(
    url: str, events: Connection, folder: Path, triggers: bool, doubled: int
) -> None:
    events.execute(BALANCE)
    events.execute("UPDATE balance SET total = (SELECT sum(amount) FROM events)")
    events.execute("CREATE TRIGGER add_up AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION add_up()")
    total = scalar(events, "SELECT total FROM balance")
    remove(url, events, folder)

    restored = _restore(events, folder, triggers=triggers)

    assert scalar(events, "SELECT total FROM balance") == doubled * total
    assert restored.triggers_off == (() if triggers else ("add_up on public.events",))
    events.execute("INSERT INTO events (amount) VALUES (1)")
    assert scalar(events, "SELECT total FROM balance") == doubled * total + 1, "it fires again"


def test_triggers_of_partitions_are_off_and_on_again_as_they_were(
    url: str, connection: Connection, folder: Path
) -> None:
    connection.execute(BALANCE)
    connection.execute(
        "CREATE TABLE events (id int, at timestamptz, amount int) PARTITION BY RANGE (at);"
        "CREATE TABLE march PARTITION OF events FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');"
        "CREATE TABLE april PARTITION OF events FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');"
        "INSERT INTO events VALUES (1, '2026-03-03', 5), (2, '2026-04-03', 7);"
        "CREATE TRIGGER by_all AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION add_up();"
        "CREATE TRIGGER by_march AFTER INSERT ON march FOR EACH ROW EXECUTE FUNCTION add_up();"
        "CREATE TRIGGER never AFTER INSERT ON march FOR EACH ROW EXECUTE FUNCTION add_up();"
        "ALTER TABLE april DISABLE TRIGGER by_all; ALTER TABLE march ENABLE ALWAYS TRIGGER by_march;"
        "ALTER TABLE march DISABLE TRIGGER never"
    )
    states = (
        "SELECT tgrelid::regclass::text, tgname, tgenabled FROM pg_trigger "
        "WHERE NOT tgisinternal AND tgrelid::regclass::text IN ('events', 'march', 'april') ORDER BY 1, 2"
    )
    before = connection.execute(states).fetchall()
    remove(url, connection, folder)

    _restore(connection, folder)

    assert scalar(connection, "SELECT total FROM balance") == 0
    assert connection.execute(states).fetchall() == before


def test_constraints_that_are_deferred_are_checked_while_triggers_are_off(
    url: str, connection: Connection, folder: Path
) -> None:
    _orders(connection, "FOREIGN KEY (person) REFERENCES people DEFERRABLE INITIALLY DEFERRED")
    connection.execute(
        BALANCE.replace("NEW.amount", "1") + "CREATE TRIGGER add_up AFTER INSERT ON orders "
        "FOR EACH ROW EXECUTE FUNCTION add_up()"
    )
    remove(url, connection, folder, table="orders")

    assert _restore(connection, folder, "orders").rows == 100
    assert scalar(connection, "SELECT total FROM balance") == 0


def test_who_does_not_own_the_table_is_told_and_may_have_triggers_fire(
    url: str, events: Connection, folder: Path
) -> None:
    events.execute(BALANCE)
    events.execute("CREATE TRIGGER add_up AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION add_up()")
    remove(url, events, folder)
    with _restorer(url, events) as restorer:
        with pytest.raises(
            RestoreRefusedError,
            match=r'add_up on public\.events.*GRANT "postgres" TO "restorer"; or add --triggers',
        ):
            _restore(restorer, folder)
        assert scalar(events, "SELECT count(*) FROM events") == 0
        assert _restore(restorer, folder, triggers=True).rows == 1000


def test_a_writer_in_the_way_of_the_triggers_is_named(
    url: str, events: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TRIES", 2)
    events.execute(BALANCE)
    events.execute("CREATE TRIGGER add_up AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION add_up()")
    remove(url, events, folder)
    with psycopg.connect(url, application_name="the shop") as writer:
        writer.execute("LOCK TABLE events IN ROW EXCLUSIVE MODE")
        with pytest.raises(LockedError, match=r"triggers of public\.events off.*the shop"):
            _restore(events, folder)
    assert scalar(events, "SELECT count(*) FROM events") == 0
    assert _restore(events, folder).rows == 1000


def test_rights_that_a_restore_needs_are_named_with_their_grant(
    url: str, connection: Connection, folder: Path
) -> None:
    _orders(connection, "FOREIGN KEY (person) REFERENCES people ON DELETE SET NULL")
    connection.execute("ALTER TABLE orders ALTER id ADD GENERATED ALWAYS AS IDENTITY")
    remove(url, connection, folder, table="orders")
    connection.execute("DELETE FROM people WHERE id = 3")
    with _restorer(url, connection) as restorer:
        connection.execute(
            "REVOKE ALL ON people FROM restorer; REVOKE ALL ON SEQUENCE orders_id_seq FROM restorer"
        )

        with pytest.raises(
            RestoreRefusedError,
            match=r'GRANT SELECT, UPDATE ON SEQUENCE "public"\."orders_id_seq" TO "restorer"',
        ):
            _restore(restorer, folder, "orders")
        connection.execute("GRANT SELECT, UPDATE ON SEQUENCE orders_id_seq TO restorer")
        with pytest.raises(
            RestoreRefusedError,
            match=r'"orders_person".*SET NULL.*GRANT SELECT ON "public"\."people" TO "restorer"',
        ):
            _restore(restorer, folder, "orders")
        assert scalar(connection, "SELECT count(*) FROM orders") == 0
        connection.execute("GRANT SELECT ON people TO restorer")
        assert [missing.rows for missing in _restore(restorer, folder, "orders").missing_parents] == [10]


@contextmanager
def _restorer(url: str, connection: Connection) -> Iterator[Connection]:
    """A connection of a role that may write every table and owns none."""
    connection.execute("CREATE ROLE restorer LOGIN PASSWORD 'x'")
    try:
        connection.execute(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, ops TO restorer;"
            "GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public, ops TO restorer;"
            "GRANT USAGE, CREATE ON SCHEMA ops TO restorer; GRANT ops_maintenance TO restorer"
        )
        as_restorer = psycopg.conninfo.make_conninfo(url, user="restorer", password="x")
        with connect(as_restorer, "test") as restorer:
            yield restorer
    finally:
        connection.execute("DROP OWNED BY restorer; DROP ROLE restorer")


# Foreign keys


def test_the_key_of_a_deleted_user_is_set_null_and_counted(
    url: str, connection: Connection, folder: Path
) -> None:
    connection.execute(
        "CREATE TABLE users (id uuid PRIMARY KEY);"
        "ALTER TABLE audit_logs ADD CONSTRAINT audit_logs_user_id_fkey "
        "FOREIGN KEY (user_id) REFERENCES users ON DELETE SET NULL;"
        "INSERT INTO users SELECT md5(n::text)::uuid FROM generate_series(0, 3) n;"
        "INSERT INTO audit_logs (event_type, created_at, user_id) "
        "SELECT 'e', '2026-01-01', md5((n % 4)::text)::uuid FROM generate_series(1, 40) n"
    )
    condition = "target.event_type = 'e'"
    remove(url, connection, folder, table="audit_logs", day_column="created_at", condition=condition)
    connection.execute("DELETE FROM users WHERE id = md5('1')::uuid")

    restored = _restore(connection, folder, "audit_logs")

    assert restored.missing_parents == (
        MissingParents("audit_logs_user_id_fkey", ("user_id",), "public.users", "SET NULL", 10),
    )
    counts = "SELECT count(*), count(user_id) FROM audit_logs WHERE event_type = 'e'"
    assert connection.execute(counts).fetchone() == (40, 30)
    details = scalar(connection, "SELECT details FROM audit_logs WHERE action = 'archive.restored'")
    assert [missing["rows"] for missing in details["missing_parents"]] == [10]


def test_set_default_and_set_of_some_columns_are_applied_as_the_key_says(
    url: str, connection: Connection, folder: Path
) -> None:
    connection.execute(
        "CREATE EXTENSION IF NOT EXISTS citext;"
        "CREATE TABLE members (tenant int, name citext, PRIMARY KEY (tenant, name));"
        "INSERT INTO members VALUES (1, 'Ada'), (1, 'Bob'), (1, 'nobody');"
        "CREATE TABLE events (id int PRIMARY KEY, at timestamptz, tenant int, wrote citext DEFAULT 'nobody', "
        '  "100% seen" citext,'
        "  FOREIGN KEY (tenant, wrote) REFERENCES members ON DELETE SET DEFAULT (wrote),"
        '  FOREIGN KEY (tenant, "100% seen") REFERENCES members ON DELETE SET NULL ("100% seen"));'
        "INSERT INTO events VALUES (1, '2026-03-01', 1, 'ada', 'BOB'), (2, '2026-03-01', 1, 'bob', 'ada'), "
        "  (3, '2026-03-01', NULL, 'Eve', 'Eve')"
    )
    remove(url, connection, folder)
    connection.execute("DELETE FROM members WHERE name = 'bob'")

    restored = _restore(connection, folder)

    assert sorted((missing.on_delete, missing.rows) for missing in restored.missing_parents) == [
        ("SET DEFAULT", 1), ("SET NULL", 1),
    ]  # fmt: skip
    assert connection.execute("SELECT * FROM events ORDER BY id").fetchall() == [
        (1, *_at(connection), 1, "ada", None),
        (2, *_at(connection), 1, "nobody", "ada"),
        (3, *_at(connection), None, "Eve", "Eve"),
    ]


def _at(connection: Connection) -> tuple[Any, ...]:
    return (scalar(connection, "SELECT '2026-03-01'::timestamptz"),)


@pytest.mark.parametrize("on_delete", ["NO ACTION", "RESTRICT", "CASCADE"])
def test_other_keys_with_missing_parents_are_named_with_how_many_rows(
    url: str, connection: Connection, folder: Path, on_delete: str
) -> None:
    _orders(connection, f"FOREIGN KEY (person) REFERENCES people ON DELETE {on_delete}")
    remove(url, connection, folder, table="orders")
    connection.execute("DELETE FROM people WHERE id < 3")

    with pytest.raises(
        RestoreRefusedError,
        match=r"30 rows refer by orders_person \(person\) to rows of public\.people .*exist.*Nothing",
    ):
        _restore(connection, folder, "orders")

    assert scalar(connection, "SELECT count(*) FROM orders") == 0
    assert _restore(connection, folder, "orders", into="found").rows == 100


def test_set_null_of_a_required_column_is_refused_by_its_key(
    url: str, connection: Connection, folder: Path
) -> None:
    _orders(connection, "FOREIGN KEY (person) REFERENCES people ON DELETE SET NULL")
    connection.execute("ALTER TABLE orders ALTER person SET NOT NULL")
    remove(url, connection, folder, table="orders")
    connection.execute("DELETE FROM people WHERE id = 3")

    with pytest.raises(RestoreRefusedError, match=r"10 rows refer by orders_person"):
        _restore(connection, folder, "orders")


def test_a_parent_that_comes_back_with_its_children_is_not_missing(
    url: str, connection: Connection, folder: Path
) -> None:
    connection.execute(
        "CREATE TABLE events (id int PRIMARY KEY, at timestamptz, "
        "  parent int REFERENCES events ON DELETE SET NULL);"
        "INSERT INTO events VALUES (1, '2026-03-01', NULL), (2, '2026-03-01', 1), (3, '2026-03-02', 2)"
    )
    # The day whose rows remain is that of 1 and 2; 3 refers to a row that does not come back.
    remove(url, connection, folder)

    restored = _restore(connection, folder, first=date(2026, 3, 2))
    assert [missing.rows for missing in restored.missing_parents] == [1]
    restored = _restore(connection, folder)
    assert restored.missing_parents == ()
    assert connection.execute("SELECT id, parent FROM events ORDER BY id").fetchall() == [
        (1, None), (2, 1), (3, None),
    ]  # fmt: skip


# Partitions and sequences


def test_a_missing_day_is_made_beside_its_siblings(url: str, connection: Connection, folder: Path) -> None:
    connection.execute(
        "CREATE SCHEMA app; CREATE SCHEMA parts;"
        "CREATE TABLE app.events (id int, at timestamptz) PARTITION BY RANGE (at);"
        "CREATE TABLE parts.events_1 PARTITION OF app.events"
        "  FOR VALUES FROM ('2026-03-01') TO ('2026-03-02');"
        "CREATE TABLE parts.events_2 PARTITION OF app.events"
        "  FOR VALUES FROM ('2026-03-02') TO ('2026-03-03');"
        "INSERT INTO app.events VALUES (1, '2026-03-01'), (2, '2026-03-02')"
    )
    remove(url, connection, folder, table="app.events")
    connection.execute("DROP TABLE parts.events_1")

    _restore(connection, folder, "app.events")

    where = connection.execute("SELECT tableoid::regclass::text FROM app.events ORDER BY id").fetchall()
    assert where == [("parts.events_20260301",), ("parts.events_2",)]


@pytest.mark.parametrize(
    ("column", "sequence"),
    [
        ("bigint GENERATED ALWAYS AS IDENTITY", "things_id_seq"),
        ("int GENERATED BY DEFAULT AS IDENTITY", "things_id_seq"),
        ("bigserial", "things_id_seq"),
        ("bigint DEFAULT nextval('\"shared 100%\"')", '"shared 100%"'),
    ],
)
def test_numbers_continue_after_the_restored_rows(
    url: str, connection: Connection, folder: Path, column: str, sequence: str
) -> None:
    connection.execute('CREATE SEQUENCE "shared 100%"')
    connection.execute(
        f'CREATE TABLE things (id {column} PRIMARY KEY, "a%b" text, '
        "  at timestamptz DEFAULT '2026-03-01')".encode()
    )
    connection.execute("INSERT INTO things (\"a%b\") SELECT 'x' FROM generate_series(1, 50)")
    remove(url, connection, folder, table="things")
    connection.execute(f"ALTER SEQUENCE {sequence} RESTART".encode())

    restored = _restore(connection, folder, "things")

    assert len(restored.sequences) == 1
    assert scalar(connection, "INSERT INTO things (\"a%b\") VALUES ('new') RETURNING id") == 51


def test_sequences_never_move_back(url: str, events: Connection, folder: Path) -> None:
    remove(url, events, folder)
    events.execute("SELECT setval('events_id_seq', 5000)")

    assert _restore(events, folder).sequences == ()

    assert scalar(events, "INSERT INTO events (what) VALUES ('new') RETURNING id") == 5001


def test_a_sequence_that_counts_down_goes_on_below(url: str, connection: Connection, folder: Path) -> None:
    connection.execute(
        "CREATE TABLE things (id int GENERATED ALWAYS AS IDENTITY (INCREMENT -1), at timestamptz);"
        "INSERT INTO things (at) SELECT '2026-03-01' FROM generate_series(1, 5);"
        "INSERT INTO things OVERRIDING SYSTEM VALUE VALUES (7, '2026-03-01')"
    )
    remove(url, connection, folder, table="things")
    connection.execute("ALTER SEQUENCE things_id_seq RESTART")

    _restore(connection, folder, "things")

    assert scalar(connection, "INSERT INTO things (at) VALUES (now()) RETURNING id") == -6


# What is said


def test_the_command_says_what_it_did_beside_the_rows(
    url: str, connection: Connection, folder: Path, opsctl: Opsctl
) -> None:
    _orders(connection, "FOREIGN KEY (person) REFERENCES people ON DELETE SET NULL")
    connection.execute(
        BALANCE.replace("NEW.amount", "1") + "CREATE TRIGGER add_up AFTER INSERT ON orders "
        "FOR EACH ROW EXECUTE FUNCTION add_up()"
    )
    remove(url, connection, folder, table="orders")
    connection.execute("DELETE FROM people WHERE id = 3")

    code, out, err = opsctl("restore", "--table", "orders")
    assert code == 0, err
    assert "10 of them refer by orders_person to rows of public.people that no longer exist: SET NULL" in out
    assert "These triggers did not fire for them: add_up on public.orders." in out

    connection.execute("DELETE FROM orders")
    connection.execute("UPDATE ops.archives SET restored_at = NULL, restored_into = NULL")
    code, out, err = opsctl("restore", "--table", "orders", "--triggers", "--json")
    assert code == 0, err
    assert json.loads(out)["missing_parents"] == [
        {
            "key": "orders_person",
            "columns": ["person"],
            "parent": "public.people",
            "on_delete": "SET NULL",
            "rows": 10,
        }
    ]
    assert json.loads(out)["triggers_off"] == []
    assert scalar(connection, "SELECT total FROM balance") == 100
