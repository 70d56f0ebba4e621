"""Events are stored once, whatever user they name, and found again newest first."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from ops_pipeline.audit.event import AuditEvent
from ops_pipeline.audit.filters import Filters
from ops_pipeline.audit.search import SearchError
from ops_pipeline.audit.store import AuditLog, Stored
from ops_pipeline.audit_log import AsyncAuditLogRepository, AuditLogRepository, NotDoneError
from ops_pipeline.holds import holds
from ops_pipeline.maintenance.history import last
from ops_pipeline.postgres.advisory_lock import advisory_lock
from ops_pipeline.postgres.connection import Connection, connect, scalar
from ops_pipeline.postgres.migrations import migrate
from tests.eventually import eventually

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALICE = UUID("00000000-0000-4000-8000-00000000a11c")


@pytest.fixture
def repository(connection: Connection) -> AuditLogRepository:
    return AuditLogRepository(connection)


@pytest.fixture
def users_url(new_database: Callable[..., str]) -> str:
    """A database whose application has users, one of them Alice."""
    url = new_database()
    with connect(url, "test") as session:
        session.execute("CREATE TABLE public.users (id uuid PRIMARY KEY)")
        session.execute("INSERT INTO public.users VALUES (%s)", [ALICE])
    migrate(url)
    return url


@pytest.fixture
def with_users(users_url: str) -> Iterator[Connection]:
    with connect(users_url, "test") as session:
        yield session


def test_an_event_is_found_again_as_it_was(repository: AuditLogRepository) -> None:
    event = AuditEvent(
        id=uuid4(),
        event_type="session.closed",
        user_id=uuid4(),
        resource_type="session",
        resource_id=uuid4(),
        action="close",
        details={"reason": "expired", "deep": [{"ä": 1.5}, None, "\\u0000"], "huge": 10**30},
        ip_address="2001:db8::7",
        status="success",
        duration_ms=2**31 - 1,
        created_at=NOON,
        created_by="nightly",
    )

    assert repository.log(event) == event.id

    (found,) = repository.query_logs(Filters())
    assert {name: getattr(found, name) for name in AuditEvent.__struct_fields__} == {
        name: getattr(event, name) for name in AuditEvent.__struct_fields__
    }


def test_an_event_without_id_and_time_gets_both(repository: AuditLogRepository) -> None:
    before = datetime.now(UTC)

    given = repository.log(AuditEvent(event_type="ping"))

    (found,) = repository.query_logs(Filters())
    assert found.id == given
    assert found.id.version == 4
    assert abs(found.created_at - before) < timedelta(minutes=5)


def test_an_event_is_stored_once_however_often_it_is_sent(repository: AuditLogRepository) -> None:
    events = [AuditEvent(id=uuid4(), event_type="a", created_at=NOON) for _ in range(3)]

    assert repository.log_many(events) == Stored(stored=3, duplicate=0)
    assert repository.log_many([*events, AuditEvent(event_type="b")]) == Stored(stored=1, duplicate=3)
    assert repository.log_many([AuditEvent(id=uuid4(), event_type="c", created_at=NOON)] * 2) == Stored(1, 1)
    assert repository.log(events[0]) == events[0].id
    assert repository.log_many([]) == Stored(0, 0)
    assert len(repository.query_logs(Filters())) == 5


def test_an_unknown_user_is_kept_in_the_details(with_users: Connection) -> None:
    repository, stranger = AuditLogRepository(with_users), uuid4()

    stored = repository.log_many(
        AuditEvent(event_type=name, user_id=user, details=details)
        for name, user, details in [
            ("known", ALICE, {"a": 1}),
            ("unknown", stranger, {"a": 1}),
            ("unknown without details", stranger, None),
            ("nobody", None, None),
        ]
    )

    assert stored == Stored(stored=4, duplicate=0)
    found = {log.event_type: (log.user_id, log.details) for log in repository.query_logs(Filters())}
    assert found == {
        "known": (ALICE, {"a": 1}),
        "unknown": (None, {"a": 1, "unresolved_user_id": str(stranger)}),
        "unknown without details": (None, {"unresolved_user_id": str(stranger)}),
        "nobody": (None, None),
    }


def test_an_event_of_a_user_who_is_being_deleted_is_stored(users_url: str, with_users: Connection) -> None:
    deleting = with_users
    with connect(users_url, "test", lock_timeout="30s") as session, ThreadPoolExecutor() as pool:
        with deleting.transaction():
            deleting.execute("DELETE FROM public.users")
            event = AuditEvent(event_type="a", user_id=ALICE)
            storing = pool.submit(AuditLogRepository(session).log, event)
            _wait_until_blocked(deleting, session.info.backend_pid)
        storing.result(timeout=30)

    (found,) = AuditLogRepository(with_users).query_logs(Filters())
    assert found.user_id is None
    assert found.details == {"unresolved_user_id": str(ALICE)}


def test_without_a_users_table_the_user_is_kept_as_given(repository: AuditLogRepository) -> None:
    user = uuid4()
    repository.log(AuditEvent(event_type="a", user_id=user))

    assert [log.user_id for log in repository.query_logs(Filters(user_id=user))] == [user]


def test_every_filter_narrows_and_both_dates_are_inclusive(repository: AuditLogRepository) -> None:
    user, resource = uuid4(), uuid4()
    match = {
        "event_type": "a", "user_id": user, "resource_type": "file", "resource_id": resource,
        "action": "open", "status": "failure",
    }  # fmt: skip
    repository.log(AuditEvent(created_at=NOON, **match))  # type: ignore[arg-type]  # of several types
    repository.log(AuditEvent(event_type="b", created_at=NOON + timedelta(microseconds=1)))

    for name, value in match.items():
        (found,) = repository.query_logs(Filters(**{name: value}))  # type: ignore[arg-type]  # of several types
        assert found.event_type == "a"
    assert [log.event_type for log in repository.query_logs(Filters(end_date=NOON))] == ["a"]
    assert len(repository.query_logs(Filters(start_date=NOON))) == 2
    assert repository.query_logs(Filters(start_date=NOON + timedelta(microseconds=2))) == []


def test_pages_are_newest_first_and_do_not_overlap(repository: AuditLogRepository) -> None:
    moments = [NOON + timedelta(hours=hour) for hour in range(5)]
    repository.log_many(AuditEvent(event_type="a", created_at=moment) for moment in moments)

    pages = [repository.query_logs(Filters(limit=2, offset=offset)) for offset in (0, 2, 4)]

    assert [log.created_at for page in pages for log in page] == moments[::-1]


def test_a_list_continues_after_its_last_event(repository: AuditLogRepository) -> None:
    repository.log_many(
        AuditEvent(event_type=str(number), created_at=NOON - timedelta(days=number // 3 * 10))
        for number in range(20)
    )

    whole = repository.query_logs(Filters())
    walked: list[AuditLog] = []
    while page := repository.query_logs(Filters(limit=6, after=walked[-1].position if walked else None)):
        walked += page

    assert len(whole) == 20
    assert walked == whole


@pytest.mark.parametrize("days", [1, 90])
def test_a_cleanup_deletes_what_is_older_and_nothing_else(repository: AuditLogRepository, days: int) -> None:
    now = datetime.now(UTC)
    for count in (7, 6, 0):
        repository.log_many(
            AuditEvent(event_type="old", created_at=now - timedelta(days=days, minutes=minute))
            for minute in range(1, count + 1)
        )
        repository.log(AuditEvent(event_type="kept", created_at=now - timedelta(days=days, minutes=-5)))

        assert repository.cleanup_old_logs(days) == count
        assert {log.event_type for log in repository.query_logs(Filters())} == {"kept", "maintenance"}


def test_a_cleanup_keeps_rows_on_hold_and_rows_that_are_locked(
    url: str, connection: Connection, repository: AuditLogRepository
) -> None:
    old = datetime.now(UTC) - timedelta(days=91)
    repository.log_many(
        AuditEvent(event_type=f"old {minute}", created_at=old + timedelta(minutes=minute))
        for minute in range(6)
    )
    holds.add(connection, "audit_logs", "event_type = 'old 5'", reason="a case", owner="legal", by="ada")
    with connect(url, "other") as other, other.transaction():
        other.execute("SELECT FROM audit_logs WHERE event_type = 'old 3' FOR UPDATE")
        assert repository.cleanup_old_logs() == 4

    left = {log.event_type for log in repository.query_logs(Filters(end_date=old + timedelta(days=1)))}
    assert left == {"old 3", "old 5"}
    assert repository.cleanup_old_logs() == 1
    history = last(connection, "audit_log/retention/audit_logs:90_days")
    assert history is not None
    assert history.removed == 1


def test_a_cleanup_with_fewer_days_than_the_one_before_deletes_more(repository: AuditLogRepository) -> None:
    now = datetime.now(UTC)
    repository.log_many(
        AuditEvent(event_type="old", created_at=now - timedelta(days=days)) for days in (10, 50, 100)
    )

    assert [repository.cleanup_old_logs(days) for days in (90, 30, 5, 90)] == [1, 1, 1, 0]


def test_a_cleanup_that_cannot_begin_says_so(repository: AuditLogRepository, connection: Connection) -> None:
    with advisory_lock(connection, "ops: audit_log/retention/audit_logs:90_days") as taken:
        assert taken
        with pytest.raises(NotDoneError, match=r"No event was deleted: another run of this policy"):
            repository.cleanup_old_logs()


def test_a_cleanup_refuses_what_it_cannot_do(repository: AuditLogRepository, url: str) -> None:
    for days in (0, -1, 40_000):
        with pytest.raises(ValueError, match="between 1 and 36500"):
            repository.cleanup_old_logs(days)
    with psycopg.connect(url) as session, pytest.raises(ValueError, match="autocommit"):
        AuditLogRepository(session).cleanup_old_logs()


def test_the_asynchronous_store_does_the_same(url: str) -> None:
    async def use() -> None:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as session:
            repository = AsyncAuditLogRepository(session)
            event = AuditEvent(id=uuid4(), event_type="a", created_at=NOON, details={"a": [1]})
            old = datetime.now(UTC) - timedelta(days=91)

            assert await repository.log(event) == event.id
            assert await repository.log_many([event]) == Stored(stored=0, duplicate=1)
            assert await repository.log_many([]) == Stored(0, 0)
            assert await repository.log_many(
                AuditEvent(event_type="old", created_at=old) for _ in range(5)
            ) == Stored(5, 0)
            (found,) = await repository.query_logs(Filters(event_type="a", q="a[]:1"))
            assert (found.id, found.created_at) == (event.id, NOON)
            assert len(await repository.query_logs(Filters(limit=3))) == 3
            with pytest.raises(SearchError):
                await repository.query_logs(Filters(q="a"))
            with pytest.raises(ValueError, match="between"):
                await repository.cleanup_old_logs(0)
            removed = await repository.cleanup_old_logs()
            assert removed == 5 + (old > NOON)
            assert await repository.query_logs(Filters(event_type="old")) == []

    asyncio.run(use())


def _wait_until_blocked(session: Connection, pid: int) -> None:
    eventually(lambda: scalar(session, "SELECT cardinality(pg_blocking_pids(%s)) > 0", [pid]))
