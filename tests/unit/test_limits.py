"""What one key may have in use, and what is left for the others."""

import asyncio
from typing import cast
from uuid import UUID, uuid4

import pytest

from api.audit.lanes import Lanes, Part
from api.audit.store import Group, ValidatedEvent, sender
from api.auth.keys import KnownKeys
from api.auth.last_use import LastUse
from api.auth.refusals import Refusals
from api.auth.tail_tokens import TailTokens
from api.db.pool import Pool
from api.limits import limits
from api.limits.limits import Limits
from api.problems import Problem
from ops_pipeline.access import wrong_keys
from ops_pipeline.access.wrong_keys import WrongKeys
from ops_pipeline.serving.gate import Gate, GateFullError
from ops_pipeline.settings import Settings

ONE, OTHER = uuid4(), uuid4()


@pytest.fixture
def made() -> Limits:
    return Limits(Settings())


def status_of(refused: pytest.ExceptionInfo[Problem]) -> tuple[int, bool]:
    return refused.value.status, int(refused.value.headers["Retry-After"]) > 0


def test_a_gate_lets_few_in_and_a_bounded_number_wait() -> None:
    inside, most = 0, 0

    async def enter(gate: Gate) -> None:
        nonlocal inside, most
        async with gate:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    async def run() -> list[object]:
        gate = Gate(2, 3, 60)
        return list(await asyncio.gather(*(enter(gate) for _ in range(9)), return_exceptions=True))

    ended = asyncio.run(run())

    assert most == 2
    assert [type(each) for each in ended] == [type(None)] * 5 + [GateFullError] * 4


def test_nobody_waits_at_a_gate_for_ever_and_the_gate_can_be_used_again() -> None:
    async def run() -> None:
        gate = Gate(1, 1, 0.01)
        async with gate:
            with pytest.raises(GateFullError):
                await gate.__aenter__()
        async with gate:
            pass

    asyncio.run(run())


def test_a_key_has_half_of_the_connections(made: Limits) -> None:
    for _ in range(made.most_requests):
        made.begin_request(ONE)

    with pytest.raises(Problem) as refused:
        made.begin_request(ONE)
    assert status_of(refused) == (429, True)
    made.begin_request(OTHER)


def test_the_bytes_of_bodies_are_bounded_for_a_key_and_in_all(
    made: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_BODY_BYTES_OF_KEY", 60)
    monkeypatch.setattr(limits, "MOST_BODY_BYTES", 100)

    with made.body(ONE) as first, made.body(ONE) as second, made.body(OTHER) as third:
        first.take(40)
        with pytest.raises(Problem) as refused:
            second.take(30)
        assert status_of(refused) == (429, True)
        third.take(60)
        with pytest.raises(Problem) as full:
            second.take(10)
        assert status_of(full) == (503, True)
    with made.body(ONE) as later:
        later.take(60)


def test_events_a_minute_are_limited_only_where_that_is_configured(made: Limits) -> None:
    made.count_events(ONE, 1_000_000)
    made.count_events(ONE, 1_000_000)
    limited = Limits(Settings(api_events_per_minute=10))

    limited.count_events(ONE, 25)  # the first request of a minute, which no other minute would suit better
    with pytest.raises(Problem) as refused:
        limited.count_events(ONE, 1)
    limited.count_events(OTHER, 5)
    limited.count_events(OTHER, 5)

    assert status_of(refused) == (429, True)
    assert int(refused.value.headers["Retry-After"]) <= 60


def test_exports_and_tails_are_limited_for_each_key(made: Limits) -> None:
    async def run() -> None:
        async with made.streaming(ONE, "exports"), made.streaming(ONE, "exports"):
            with pytest.raises(Problem) as refused:
                made.check_stream(ONE, "exports")
            with pytest.raises(Problem):
                await made.streaming(ONE, "exports").__aenter__()
            assert status_of(refused) == (429, True)
            made.check_stream(OTHER, "exports")
            made.check_stream(ONE, "tails")
        made.check_stream(ONE, "exports")

    asyncio.run(run())


def test_one_key_has_half_of_the_reads_of_long_periods(made: Limits) -> None:
    async def read(key: UUID, done: asyncio.Event, began: list[UUID]) -> None:
        async with made.reading(key, wide=True):
            began.append(key)
            await done.wait()

    async def run() -> list[UUID]:
        done, began = asyncio.Event(), list[UUID]()
        reads = [asyncio.create_task(read(key, done, began)) for key in [ONE] * 5 + [OTHER] * 5]
        await asyncio.sleep(0.01)
        begun = list(began)
        done.set()
        await asyncio.gather(*reads)
        return begun

    assert asyncio.run(run()) == [ONE, ONE, OTHER, OTHER]


def test_keys_are_served_in_turn_and_a_large_request_does_not_hold_up_small_ones() -> None:
    async def run() -> list[list[tuple[UUID | None, int]]]:
        loop = asyncio.get_running_loop()
        lanes = Lanes()
        for key, events in [(ONE, 5000), (ONE, 5000), (ONE, 5000), (OTHER, 1), (OTHER, 1), (None, 1)]:
            batch = [ValidatedEvent(b"{}")] * events
            lanes.add(Part(Group(sender(key, None), batch), events, 2 * events, loop.create_future(), 0))
        groups = []
        while lanes:
            groups.append([(part.group.sender.key_id, part.events) for part in lanes.take(1000)])
        assert (lanes.events, lanes.size) == (0, 0)
        return groups

    assert asyncio.run(run()) == [
        [(ONE, 5000)], [(OTHER, 1), (None, 1), (OTHER, 1)], [(ONE, 5000)], [(ONE, 5000)]
    ]  # fmt: skip


def test_a_part_that_waited_too_long_is_not_stored() -> None:
    async def run() -> list[Part]:
        loop = asyncio.get_running_loop()
        lanes = Lanes()
        for _ in range(2):
            lanes.add(Part(Group(sender(ONE, None), [ValidatedEvent(b"{}")]), 1, 2, loop.create_future(), 0))
        first = next(iter(lanes))
        first.give_up()
        taken = lanes.take(1000)
        assert first not in taken
        return taken

    assert [part.begun for part in asyncio.run(run())] == [True]


def test_wrong_keys_are_counted_for_each_address_and_their_number_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wrong_keys, "MOST_ADDRESSES", 3)
    wrong = WrongKeys()
    for _ in range(wrong_keys.MOST_A_MINUTE):
        assert wrong.seconds_to_wait("192.0.2.1") is None
        wrong.count("192.0.2.1")

    seconds = wrong.seconds_to_wait("192.0.2.1")
    assert seconds is not None
    assert 0 < seconds <= 60
    assert wrong.seconds_to_wait("192.0.2.2") is None
    for number in range(3, 9 * wrong_keys.MOST_A_MINUTE):
        wrong.count(f"192.0.2.{number}")
    assert wrong.seconds_to_wait("198.51.100.1") is not None, "addresses beyond the bound share one count"


def test_requests_with_the_same_key_share_one_look_up(made: Limits) -> None:
    asked = []

    class SlowPool:
        async def rows(self, *_: object) -> list[object]:
            asked.append(1)
            await asyncio.sleep(0.01)
            return []

    async def run() -> None:
        known = KnownKeys(
            cast("Pool", SlowPool()),
            cast("LastUse", None),
            made,
            cast("Refusals", None),
            cast("TailTokens", None),
        )
        first = [asyncio.create_task(known.look_up(b"one")) for _ in range(20)]
        await asyncio.sleep(0)
        first[0].cancel()  # its client has left; the others still get the answer
        found = await asyncio.gather(*first, return_exceptions=True)
        assert [type(each) for each in found] == [asyncio.CancelledError] + [tuple] * 19
        await asyncio.gather(known.look_up(b"one"), known.look_up(b"other"))

    asyncio.run(run())
    assert len(asked) == 3
