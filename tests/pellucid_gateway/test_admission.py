import asyncio

import pytest

from pellucid_gateway.admission import ByteBudget
from pellucid_gateway.errors import Overloaded


async def test_what_does_not_fit_now_is_refused_with_a_time_to_try_again() -> None:
    budget = ByteBudget(100)
    with budget.refuse_beyond(60):
        with pytest.raises(
            Overloaded, match="60 bytes are in flight, and 50 more would exceed the limit of 100"
        ) as caught:
            budget.refuse_beyond(50).__enter__()
        assert caught.value.retry_after_s > 0
    assert budget.used == 0


async def test_whoever_waits_is_served_in_order_of_arrival() -> None:
    budget, order = ByteBudget(100), []

    async def hold(name: str, size: int) -> None:
        async with budget.wait_for(size):
            order.append(name)
            await asyncio.sleep(0)

    with budget.refuse_beyond(80):
        tasks = [asyncio.create_task(hold("large", 90)), asyncio.create_task(hold("small", 10))]
        await asyncio.sleep(0)
        assert order == []
    await asyncio.gather(*tasks)
    assert order == ["large", "small"]
    assert budget.used == 0


async def test_a_waiter_that_leaves_makes_way() -> None:
    budget = ByteBudget(100)
    with budget.refuse_beyond(50):
        large, small = budget.wait_for(74), budget.wait_for(20)
        leaving, waiting = asyncio.create_task(large.__aenter__()), asyncio.create_task(small.__aenter__())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([waiting], timeout=1)
        assert waiting.done()
        assert budget.used == 70


async def test_a_waiter_cancelled_in_the_turn_in_which_room_appears_is_only_cancelled() -> None:
    budget = ByteBudget(100)
    with budget.refuse_beyond(75):
        waiting = asyncio.create_task(budget.wait_for(50).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert budget.used == 0


async def test_what_waits_leaves_a_quarter_to_what_does_not() -> None:
    budget = ByteBudget(100)
    async with budget.wait_for(1000):
        with budget.refuse_beyond(25):
            assert budget.used == 100
