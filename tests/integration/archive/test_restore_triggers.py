"""Triggers and constraints of a table during a restore."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from ops_pipeline.archive.target import RestoreRefusedError
from ops_pipeline.postgres import locks
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.locks import LockedError
from tests.integration.archive.removal import remove
from tests.integration.archive.restoring import BALANCE, bring_back, make_orders


@pytest.mark.parametrize(("triggers", "doubled"), [(False, 1), (True, 2)])
def test_triggers_fire_only_when_asked(
    url: str, events: Connection, folder: Path, triggers: bool, doubled: int
) -> None:
    events.execute(BALANCE)
    events.execute("UPDATE balance SET total = (SELECT sum(amount) FROM events)")
    events.execute("CREATE TRIGGER add_up AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION add_up()")
    total = scalar(events, "SELECT total FROM balance")
    remove(url, events, folder)

    restored = bring_back(events, folder, triggers=triggers)

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

    bring_back(connection, folder)

    assert scalar(connection, "SELECT total FROM balance") == 0
    assert connection.execute(states).fetchall() == before


def test_constraints_that_are_deferred_are_checked_while_triggers_are_off(
    url: str, connection: Connection, folder: Path
) -> None:
    make_orders(connection, "FOREIGN KEY (person) REFERENCES people DEFERRABLE INITIALLY DEFERRED")
    connection.execute(
        BALANCE.replace("NEW.amount", "1") + "CREATE TRIGGER add_up AFTER INSERT ON orders "
        "FOR EACH ROW EXECUTE FUNCTION add_up()"
    )
    remove(url, connection, folder, table="orders")

    assert bring_back(connection, folder, "orders").rows == 100
    assert scalar(connection, "SELECT total FROM balance") == 0


def test_a_role_that_does_not_own_the_table_may_restore_with_triggers_firing(
    url: str, events: Connection, folder: Path
) -> None:
    events.execute(BALANCE)
    events.execute("CREATE TRIGGER add_up AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION add_up()")
    remove(url, events, folder)
    with _restorer(url, events) as restorer:
        with pytest.raises(
            RestoreRefusedError,
            match=r"add_up on public\.events.*GRANT postgres TO restorer; or add --triggers",
        ):
            bring_back(restorer, folder)
        assert scalar(events, "SELECT count(*) FROM events") == 0
        assert bring_back(restorer, folder, triggers=True).rows == 1000


def test_a_writer_that_blocks_disabling_triggers_is_named(
    url: str, events: Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TRIES", 2)
    events.execute(BALANCE)
    events.execute("CREATE TRIGGER add_up AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION add_up()")
    remove(url, events, folder)
    with psycopg.connect(url, application_name="the shop") as writer:
        writer.execute("LOCK TABLE events IN ROW EXCLUSIVE MODE")
        with pytest.raises(LockedError, match=r"Disabling the triggers of public\.events.*the shop"):
            bring_back(events, folder)
    assert scalar(events, "SELECT count(*) FROM events") == 0
    assert bring_back(events, folder).rows == 1000


def test_rights_that_a_restore_needs_are_named_with_their_grant(
    url: str, connection: Connection, folder: Path
) -> None:
    make_orders(connection, "FOREIGN KEY (person) REFERENCES people ON DELETE SET NULL")
    connection.execute("ALTER TABLE orders ALTER id ADD GENERATED ALWAYS AS IDENTITY")
    remove(url, connection, folder, table="orders")
    connection.execute("DELETE FROM people WHERE id = 3")
    with _restorer(url, connection) as restorer:
        connection.execute(
            "REVOKE ALL ON people FROM restorer; REVOKE ALL ON SEQUENCE orders_id_seq FROM restorer"
        )

        with pytest.raises(
            RestoreRefusedError,
            match=r"GRANT SELECT, UPDATE ON SEQUENCE public\.orders_id_seq TO restorer;$",
        ):
            bring_back(restorer, folder, "orders")
        connection.execute("GRANT SELECT, UPDATE ON SEQUENCE orders_id_seq TO restorer")
        with pytest.raises(
            RestoreRefusedError,
            match=r'"orders_person".*SET NULL.*GRANT SELECT ON public\.people TO restorer;$',
        ):
            bring_back(restorer, folder, "orders")
        assert scalar(connection, "SELECT count(*) FROM orders") == 0
        connection.execute("GRANT SELECT ON people TO restorer")
        assert [missing.rows for missing in bring_back(restorer, folder, "orders").missing_parents] == [10]


@contextmanager
def _restorer(url: str, connection: Connection) -> Iterator[Connection]:
    """A connection of a role that may write to every table and owns none."""
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
