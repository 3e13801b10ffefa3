import asyncio
import time

import numpy as np
import pytest

from pellucid_gateway.backends.fake import FakeBackend
from pellucid_gateway.dispatch import Dispatcher, Work
from pellucid_gateway.errors import DeadlineExceeded, InferenceFailed
from pellucid_gateway.identity.caller import Caller, Kind, current


def work(*numbers: float, priority: int = 1, deadline: float | None = None) -> Work:
    latents = np.array([[number, 0, 0, 0] for number in numbers], dtype=np.float32)
    return Work("paint", "1", {"latent": latents}, ("image",), 4, priority, deadline)


def reds(image: np.ndarray) -> list[int]:
    return image[:, 0, 0, 0].tolist()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_arrives_while_batches_are_in_flight_forms_the_next_one(backend: FakeBackend) -> None:
    backend.delay_s = 0.02
    dispatcher = Dispatcher(backend, max_in_flight=1)
    outcomes = await asyncio.gather(*(dispatcher.run(work(number)) for number in range(5)))
    assert [len(batch.inputs["latent"]) for batch in backend.batches] == [1, 4]
    assert [reds(outcome.outputs["image"]) for outcome in outcomes] == [[128], [144], [160], [176], [192]]


async def test_members_are_not_split_and_keep_their_order(backend: FakeBackend) -> None:
    backend.delay_s = 0.01
    dispatcher = Dispatcher(backend, max_in_flight=1)
    _, second, third = await asyncio.gather(
        dispatcher.run(work(0)), dispatcher.run(work(1, 2, 3)), dispatcher.run(work(4, 5))
    )
    assert [len(batch.inputs["latent"]) for batch in backend.batches] == [1, 3, 2]
    assert reds(second.outputs["image"]) == [144, 160, 176]
    assert reds(third.outputs["image"]) == [192, 208]


async def test_only_equal_work_shares_a_batch(backend: FakeBackend) -> None:
    backend.delay_s = 0.01
    dispatcher = Dispatcher(backend, max_in_flight=1)
    await asyncio.gather(*(dispatcher.run(work(0, priority=1 + k % 2)) for k in range(4)))
    assert sorted((batch.priority, len(batch.inputs["latent"])) for batch in backend.batches) == [
        (1, 1), (1, 1), (2, 1), (2, 1),
    ]  # fmt: skip


async def test_no_more_batches_are_in_flight_than_allowed(backend: FakeBackend) -> None:
    backend.delay_s = 0.05
    dispatcher = Dispatcher(backend, max_in_flight=2)
    tasks = [asyncio.create_task(dispatcher.run(work(*[k] * 4))) for k in range(3)]
    await settle()
    assert len(backend.batches) == 2
    await asyncio.gather(*tasks)
    assert len(backend.batches) == 3


async def test_a_member_cancelled_before_it_is_sent_is_dropped(backend: FakeBackend) -> None:
    backend.delay_s = 0.02
    dispatcher = Dispatcher(backend, max_in_flight=1)
    first = asyncio.create_task(dispatcher.run(work(0)))
    gone, kept = asyncio.create_task(dispatcher.run(work(1))), asyncio.create_task(dispatcher.run(work(2)))
    await settle()
    gone.cancel()
    assert reds((await kept).outputs["image"]) == [160]
    await first
    assert [len(batch.inputs["latent"]) for batch in backend.batches] == [1, 1]


async def test_a_member_that_leaves_a_batch_does_not_disturb_the_others(backend: FakeBackend) -> None:
    backend.delay_s = 0.02
    dispatcher = Dispatcher(backend, max_in_flight=1)
    first = asyncio.create_task(dispatcher.run(work(0)))
    await settle()
    gone, kept = asyncio.create_task(dispatcher.run(work(1))), asyncio.create_task(dispatcher.run(work(2)))
    await first
    gone.cancel()
    assert reds((await kept).outputs["image"]) == [160]
    assert [len(batch.inputs["latent"]) for batch in backend.batches] == [1, 2]


async def test_a_deadline_ends_the_wait_and_later_work_is_unharmed(backend: FakeBackend) -> None:
    backend.delay_s = 0.2
    dispatcher = Dispatcher(backend, max_in_flight=1)
    with pytest.raises(DeadlineExceeded):
        await dispatcher.run(work(0, deadline=time.monotonic() + 0.02))
    backend.delay_s = 0
    assert reds((await dispatcher.run(work(3))).outputs["image"]) == [176]


async def test_work_that_comes_too_late_is_never_sent(backend: FakeBackend) -> None:
    with pytest.raises(DeadlineExceeded, match="before the work could start"):
        await Dispatcher(backend, 1).run(work(0, deadline=time.monotonic() - 1))
    assert backend.batches == []


async def test_the_backend_is_told_the_latest_deadline_of_its_members(backend: FakeBackend) -> None:
    backend.delay_s = 0.02
    dispatcher = Dispatcher(backend, max_in_flight=1)
    now = time.monotonic()
    await asyncio.gather(*(dispatcher.run(work(k, deadline=now + 10 * (k + 1))) for k in range(3)))
    assert backend.batches[1].timeout_s == pytest.approx(30, abs=1)
    await dispatcher.run(work(0))
    assert backend.batches[2].timeout_s is None


async def test_a_failure_reaches_every_member(backend: FakeBackend) -> None:
    backend.failure = InferenceFailed("broken")
    backend.delay_s = 0.01
    dispatcher = Dispatcher(backend, 1)
    results = await asyncio.gather(*(dispatcher.run(work(k)) for k in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [InferenceFailed] * 3
    assert [len(batch.inputs["latent"]) for batch in backend.batches] == [1, 2]


@pytest.mark.parametrize("outputs", [{}, {"image": np.zeros((1, 8, 8, 3), np.uint8)}])
async def test_a_graph_that_loses_rows_or_outputs_has_failed(
    backend: FakeBackend, outputs: dict[str, np.ndarray]
) -> None:
    backend.models["paint"] = (backend.models["paint"][0], lambda inputs: outputs)
    with pytest.raises(InferenceFailed, match=r"as 'image' for 3 rows"):
        await Dispatcher(backend, 1).run(work(1, 2, 3))


@pytest.mark.parametrize("safe", [True, False])
async def test_a_batch_is_cancelled_when_all_are_gone_only_where_that_is_safe(backend: FakeBackend, safe: bool) -> None:
    backend.cancels_safely = safe
    backend.delay_s = 0.05
    finished = []
    compute = backend.models["paint"][1]
    backend.models["paint"] = (backend.models["paint"][0], lambda inputs: finished.append(1) or compute(inputs))
    dispatcher = Dispatcher(backend, 1)
    task = asyncio.create_task(dispatcher.run(work(0)))
    await settle()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await dispatcher.close()
    assert finished == ([] if safe else [1])


async def test_lanes_that_are_no_longer_asked_for_are_forgotten(backend: FakeBackend) -> None:
    dispatcher = Dispatcher(backend, 1)
    for priority in range(1, 20):
        await dispatcher.run(work(0, priority=priority))
    await settle()
    assert dispatcher._lanes == {}


async def test_callers_take_turns_whatever_each_has_waiting(backend: FakeBackend) -> None:
    backend.delay_s = 0.01
    dispatcher = Dispatcher(backend, max_in_flight=1)

    async def run(caller: str, number: float) -> None:
        current.set(Caller(caller, Kind.KEY))
        await dispatcher.run(work(number))

    greedy = [asyncio.create_task(run("ada", number)) for number in range(9)]
    await settle()
    await asyncio.gather(*greedy, asyncio.create_task(run("bob", 7)), asyncio.create_task(run("cy", -7)))
    batches = [batch.inputs["latent"][:, 0].tolist() for batch in backend.batches]
    assert batches == [[0], [1, 7, -7, 2], [3, 4, 5, 6], [7, 8]]


async def test_what_is_expected_follows_what_was_measured_and_what_waits(backend: FakeBackend) -> None:
    backend.delay_s = 0.02
    dispatcher = Dispatcher(backend, max_in_flight=1)
    await dispatcher.run(work(1))
    assert dispatcher.expected_s("paint", 1, 100) == 0
    waiting = asyncio.create_task(dispatcher.run(work(1)))
    await settle()
    assert dispatcher.expected_s("paint", 1, 99) >= 100 * 0.02
    assert dispatcher.expected_s("paint", 2, 99) == 0
    await waiting
    assert dispatcher.expected_s("paint", 1, 99) == 0
