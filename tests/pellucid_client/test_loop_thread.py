import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from pellucid_client.loop_thread import LoopThread
from pellucid_client.read_ahead import ReadAhead


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    running = LoopThread()
    yield running
    running.stop()


async def numbers(count: int, pause_after: int = -1, closed: list[bool] | None = None) -> AsyncGenerator[int, None]:
    try:
        for number in range(count):
            yield number
            if number == pause_after:
                await asyncio.sleep(0.01)
    finally:
        if closed is not None:
            closed.append(True)


async def failing() -> AsyncGenerator[int, None]:
    yield 1
    yield 2
    raise ValueError("third")


async def test_what_is_there_is_taken_at_once_up_to_a_limit() -> None:
    ahead = ReadAhead(numbers(70))
    assert await ahead.handful() == list(range(64))
    assert await ahead.handful() == list(range(64, 70))
    assert await ahead.handful() == []


async def test_nothing_is_waited_for_once_something_is_there() -> None:
    ahead = ReadAhead(numbers(5, pause_after=2))
    assert await ahead.handful() == [0, 1, 2]
    assert await ahead.handful() == [3, 4]
    await ahead.close()


def test_an_error_comes_after_the_items_before_it(thread: LoopThread) -> None:
    items = thread.iterate(failing())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(items)


def test_a_stream_that_is_left_is_closed(thread: LoopThread) -> None:
    closed: list[bool] = []
    items = thread.iterate(numbers(1000, pause_after=0, closed=closed))
    assert next(items) == 0
    items.close()
    assert closed == [True]


def test_who_waits_for_a_result_is_let_go_when_the_loop_ends() -> None:
    running = LoopThread()
    begun = threading.Event()

    async def endless() -> None:
        begun.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as others:
        waiting = others.submit(lambda: running.run(endless()))
        assert begun.wait(10)
        running.stop()
        with pytest.raises(CancelledError):
            waiting.result(10)
