"""Queued events are stored together, and the fate of one does not affect the others."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest

from api.audit import queue
from api.audit.queue import AuditQueue
from api.audit.store import Refusal, TooManyOfKeyError, UnavailableError, ValidatedEvent, sender
from api.db.pool import Pool
from ops_pipeline.postgres.connection import Connection, scalar

SENDER = sender(uuid4(), "127.0.0.1")
SENDERS = [sender(uuid4(), "127.0.0.1") for _ in range(3)]
COUNT = "SELECT count(*) FROM audit_logs"
POISON = ValidatedEvent(b'{"eventType": "a", "details": {"a": 1e-20000}}')


def event(**fields: str) -> ValidatedEvent:
    return ValidatedEvent(json.dumps({"eventType": "a"} | fields).encode())


@asynccontextmanager
async def writing(url: str) -> AsyncIterator[AuditQueue]:
    async with Pool(url, _unheeded) as pool, AuditQueue(pool, _unheeded, _unheeded) as made:
        yield made


def _unheeded(*_: object) -> None:
    pass


def test_concurrent_events_share_commits_and_an_invalid_one_affects_no_other(
    url: str, connection: Connection
) -> None:
    async def post() -> list[object]:
        events = [POISON if number == 77 else event() for number in range(300)]
        async with writing(url) as made:
            answers = await asyncio.gather(*(made.store(SENDER, [each]) for each in events))
        return [outcome for answer in answers for outcome in answer]

    outcomes = asyncio.run(post())

    assert [at for at, each in enumerate(outcomes) if isinstance(each, Refusal)] == [77]
    assert len({each for each in outcomes if isinstance(each, UUID)}) == 299
    assert scalar(connection, COUNT) == 299
    assert scalar(connection, "SELECT count(DISTINCT xmin::text) FROM audit_logs") < 30


def test_a_client_that_disconnects_affects_no_other(url: str, connection: Connection) -> None:
    async def post() -> list[object]:
        async with writing(url) as made:
            tasks = [asyncio.create_task(made.store(SENDER, [event(eventType=str(n))])) for n in range(40)]
            await asyncio.sleep(0)
            for task in tasks[::4]:
                task.cancel()
            return list(await asyncio.gather(*tasks, return_exceptions=True))

    answers = asyncio.run(post())

    stayed = [n for n, answer in enumerate(answers) if isinstance(answer, list)]
    assert stayed == [n for n in range(40) if n % 4]
    stored = {int(name) for (name,) in connection.execute("SELECT event_type FROM audit_logs")}
    assert stored >= set(stayed)


def test_a_commit_that_hangs_does_not_hold_up_the_others(url: str, connection: Connection) -> None:
    slow = str(uuid4())

    async def post() -> list[str]:
        done: list[str] = []

        async def store(name: str, stored: ValidatedEvent) -> None:
            await made.store(SENDER, [stored])
            done.append(name)

        async with writing(url) as made:
            await made.store(SENDER, [event()])
            with connection.transaction():
                # Until this transaction ends, no other session can get a receipt for that id.
                connection.execute("INSERT INTO ops.audit_receipts VALUES (%s, now())", [slow])
                hanging = asyncio.create_task(store("slow", event(id=slow)))
                while not _waits_for_a_lock(connection):
                    await asyncio.sleep(0.01)
                await store("quick", event())
            await hanging
        return done

    assert asyncio.run(post()) == ["quick", "slow"]


def _waits_for_a_lock(connection: Connection) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    return bool(scalar(connection, f"{waiting} AND wait_event_type = 'Lock'"))


def test_the_queue_is_bounded_and_requests_beyond_it_are_refused(
    url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MOST_EVENTS", 10)

    async def post() -> list[object]:
        async with writing(url) as made:
            return list(
                await asyncio.gather(
                    *(made.store(SENDERS[number % 3], [event()]) for number in range(30)),
                    return_exceptions=True,
                )
            )

    answers = asyncio.run(post())

    refused = [each for each in answers if isinstance(each, UnavailableError)]
    assert len(refused) == 20
    assert all("Nothing was stored" in str(each) for each in refused)
    assert scalar(connection, COUNT) == 10


def test_one_key_fills_half_of_the_queue_and_leaves_the_other_half(
    url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MOST_EVENTS", 10)
    one, other = SENDERS[:2]

    async def post() -> tuple[list[object], list[object]]:
        async with writing(url) as made:
            greedy = asyncio.gather(*(made.store(one, [event()]) for _ in range(30)), return_exceptions=True)
            await asyncio.sleep(0)
            modest = asyncio.gather(*(made.store(other, [event()]) for _ in range(5)), return_exceptions=True)
            return list(await greedy), list(await modest)

    greedy, modest = asyncio.run(post())

    refused = [each for each in greedy if isinstance(each, Exception)]
    assert len(refused) == 25
    assert {type(each) for each in refused} == {TooManyOfKeyError}
    assert not [each for each in modest if isinstance(each, Exception)]
    assert scalar(connection, COUNT) == 10


def test_the_bytes_in_the_queue_are_bounded_too(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MOST_BYTES", 100)

    async def post() -> None:
        async with writing(url) as made:
            await made.store(SENDER, [event()])
            with pytest.raises(UnavailableError):
                await made.store(SENDER, [event(action="x" * 90)])

    asyncio.run(post())


def test_queued_events_are_committed_before_the_pool_closes(url: str, connection: Connection) -> None:
    async def post() -> list[object]:
        async with writing(url) as made:
            tasks = [asyncio.create_task(made.store(SENDER, [event()])) for _ in range(3000)]
            await asyncio.sleep(0)
        return list(await asyncio.gather(*tasks))

    assert len(asyncio.run(post())) == 3000
    assert scalar(connection, COUNT) == 3000


def test_a_commit_that_times_out_is_reported_as_unknown_and_may_be_retried(
    url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "ANSWER_SECONDS", 0.5)
    one = event(id=str(uuid4()))

    async def post() -> None:
        async with writing(url) as made:
            await made.store(SENDER, [event()])  # connected, and the statement is prepared
            with connection.transaction():
                connection.execute("LOCK TABLE audit_logs")
                with pytest.raises(UnavailableError, match="may have been stored"):
                    await made.store(SENDER, [one])
            await asyncio.sleep(
                0.3
            )  # the table is unlocked: now the event is stored, though no request waits for it
            await made.store(SENDER, [one])

    asyncio.run(post())

    assert scalar(connection, COUNT) == 2


def test_a_large_request_is_stored_in_batches_and_answered_in_order(url: str, connection: Connection) -> None:
    ids = [uuid4() for _ in range(queue.PART_EVENTS + 5)]

    async def post() -> list[object]:
        async with writing(url) as made:
            return list(await made.store(SENDER, [event(id=str(each)) for each in ids]))

    assert asyncio.run(post()) == ids
    assert scalar(connection, COUNT) == len(ids)


def test_an_unreachable_database_is_reported_and_nothing_is_stored() -> None:
    async def post() -> None:
        async with writing("postgresql://ops@127.0.0.1:1/app") as made:
            with pytest.raises(UnavailableError, match="Nothing was stored"):
                await made.store(SENDER, [event()])

    asyncio.run(post())
