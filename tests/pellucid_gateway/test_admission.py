import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pellucid_gateway.admission import Admission
from pellucid_gateway.errors import Overloaded
from pellucid_gateway.identity.caller import Caller, Kind, current


def admission(images: int = 100, size: int = 100, calls: int = 8) -> Admission:
    return Admission(calls, images, size)


@contextmanager
def calling(name: str) -> Iterator[None]:
    token = current.set(Caller(name, Kind.KEY))
    yield
    current.reset(token)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_does_not_fit_now_is_refused_with_a_time_to_try_again() -> None:
    room = admission()
    with room.refuse_beyond(1, 60):
        with pytest.raises(
            Overloaded, match=r"60 bytes are in flight, .* 50 more would exceed the limit of 100"
        ) as told:
            room.refuse_beyond(1, 50).__enter__()
        assert told.value.retry_after_s > 0
    assert (room.bytes.used, room.images.used) == (0, 0)


async def test_images_are_bounded_as_bytes_are() -> None:
    room = admission(images=4)
    with room.refuse_beyond(3, 1), pytest.raises(Overloaded, match="3 images are in flight"):
        room.refuse_beyond(2, 1).__enter__()
    assert (room.bytes.used, room.images.used) == (0, 0)


async def test_calls_are_bounded() -> None:
    room = admission(calls=2)
    with room.call(), room.call(), pytest.raises(Overloaded, match="2 calls are in flight"):
        room.call().__enter__()
    with room.call():
        assert room.calls.used == 1


async def test_a_caller_alone_may_have_everything() -> None:
    room = admission()
    with calling("ada"), room.refuse_beyond(1, 100):
        assert room.bytes.used == 100


async def test_the_last_quarter_is_for_those_who_hold_less_than_their_share() -> None:
    room = admission()
    with calling("ada"):
        large = room.refuse_beyond(1, 70)
        large.__enter__()
    with calling("bob"), room.refuse_beyond(1, 20):
        # 90 are used: bob may come to 30 of his 50, ada not to 80 of hers.
        with calling("ada"), pytest.raises(Overloaded, match="90 bytes are in flight, 70 of them for ada"):
            room.refuse_beyond(1, 10).__enter__()
        with room.refuse_beyond(1, 10):
            assert room.bytes.used == 100
    large.__exit__(None, None, None)
    assert room.bytes.used == 0


async def test_whoever_waits_is_served_in_order_of_arrival() -> None:
    room, order = admission(), []

    async def hold(name: str, size: int) -> None:
        async with room.wait_for(1, size):
            order.append(name)
            await asyncio.sleep(0)

    with room.refuse_beyond(1, 80):
        tasks = [asyncio.create_task(hold("large", 90)), asyncio.create_task(hold("small", 10))]
        await settle()
        assert order == []
    await asyncio.gather(*tasks)
    assert order == ["large", "small"]
    assert room.bytes.used == 0


async def test_of_those_who_wait_the_caller_who_holds_least_comes_first() -> None:
    room, order = admission(), []

    async def hold(name: str, until: asyncio.Event) -> None:
        with calling(name):
            async with room.wait_for(1, 30):
                order.append(name)
                await until.wait()

    ends = [asyncio.Event() for _ in range(4)]
    tasks = [asyncio.create_task(hold(name, end)) for name, end in zip(["ada", "ada", "ada", "bob"], ends, strict=True)]
    await settle()
    assert order == ["ada", "ada"]
    ends[0].set()
    await settle()
    assert order == ["ada", "ada", "bob"]
    for end in ends:
        end.set()
    await asyncio.gather(*tasks)
    assert order == ["ada", "ada", "bob", "ada"]


async def test_a_waiter_that_leaves_makes_way() -> None:
    room = admission()
    with room.refuse_beyond(1, 50):
        large, small = room.wait_for(1, 74), room.wait_for(1, 20)
        leaving, waiting = asyncio.create_task(large.__aenter__()), asyncio.create_task(small.__aenter__())
        await settle()
        assert not waiting.done()
        leaving.cancel()
        await asyncio.wait([waiting], timeout=1)
        assert waiting.done()
        assert room.bytes.used == 70


async def test_a_waiter_cancelled_in_the_turn_in_which_room_appears_is_only_cancelled() -> None:
    room = admission()
    with room.refuse_beyond(1, 75):
        waiting = asyncio.create_task(room.wait_for(1, 50).__aenter__())
        await settle()
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert room.bytes.used == 0


async def test_what_waits_leaves_a_quarter_to_what_does_not() -> None:
    room = admission()
    async with room.wait_for(1000, 1000):
        with room.refuse_beyond(25, 25):
            assert (room.images.used, room.bytes.used) == (100, 100)
