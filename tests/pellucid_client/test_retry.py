import time
from typing import Any

import grpc
import pytest

from pellucid_client import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    InvalidRequest,
    Overloaded,
    RetryPolicy,
    Sweep,
    Unavailable,
    Unsupported,
)
from pellucid_client.retry import Attempts, RetryBudget
from tests.pellucid_client.conftest import QUICK
from tests.pellucid_client.faces import got
from tests.pellucid_client.faults import Fault
from tests.pellucid_client.servicers import ToyGateway


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
async def test_a_call_is_repeated_with_the_same_seed_and_identifier(
    client: Any, gateway: ToyGateway, code: grpc.StatusCode
) -> None:
    gateway.faults.extend([Fault(code, retry_after_s=0.01)] * 2)
    [image] = await got(client.generate("toy", format="png"))
    first, second, third = gateway.requests
    assert first == second == third
    assert image.seed == first.seeds.first


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequest),
        (grpc.StatusCode.FAILED_PRECONDITION, Unsupported),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, InvalidRequest),
    ],
)
async def test_what_would_fail_again_is_not_repeated(
    client: Any, gateway: ToyGateway, code: grpc.StatusCode, error: type[Exception]
) -> None:
    gateway.faults.append(Fault(code))
    with pytest.raises(error):
        await got(client.generate("toy", seed=1))
    assert len(gateway.requests) == 1


async def test_the_pause_the_gateway_asks_for_is_kept(client: Any, gateway: ToyGateway) -> None:
    gateway.faults.append(Fault(retry_after_s=0.2))
    start = time.monotonic()
    await got(client.generate("toy", seed=1))
    assert time.monotonic() - start >= 0.2


async def test_a_pause_beyond_the_deadline_is_not_waited_for(client: Any, gateway: ToyGateway) -> None:
    gateway.faults.append(Fault(retry_after_s=0.9))
    with pytest.raises(Unavailable) as caught:
        await got(client.generate("toy", seed=1, timeout_s=0.8))
    assert caught.value.retry_after_s == pytest.approx(0.9)
    assert len(gateway.requests) == 1


async def test_attempts_come_to_an_end(target: str, gateway: ToyGateway) -> None:
    gateway.faults.extend([Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_s=0.001)] * 3)
    async with AsyncClient(target, retry=RetryPolicy(attempts=3, first_pause_s=0.001)) as client:
        with pytest.raises(Overloaded):
            await client.models()
    assert len(gateway.requests) == 3


def test_a_client_that_mostly_fails_stops_repeating(target: str, gateway: ToyGateway) -> None:
    gateway.faults.extend([Fault()] * 100)
    with Client(target, retry=RetryPolicy(attempts=5, first_pause_s=0.001, longest_pause_s=0.001)) as client:
        for _ in range(3):
            with pytest.raises(Unavailable):
                client.generate("toy", seed=1)
    # Ten tokens: four failures leave more than five; the fifth, sixth and seventh end their calls.
    assert len(gateway.requests) == 7


async def test_the_deadline_ends_a_call(client: Any, gateway: ToyGateway) -> None:
    gateway.faults.append(Fault(grpc.StatusCode.INTERNAL, after_s=5))
    with pytest.raises(DeadlineExceeded):
        await got(client.generate("toy", seed=1, timeout_s=0.2))
    assert len(await got(client.generate("toy", seed=1))) == 1


def test_the_client_s_own_deadlines_apply(target: str, gateway: ToyGateway) -> None:
    gateway.faults.extend([Fault(after_s=5), Fault(after_s=5)])
    with Client(target, timeout_s=0.2, stream_timeout_s=0.2) as client:
        with pytest.raises(DeadlineExceeded):
            client.models()
        with pytest.raises(DeadlineExceeded):
            list(client.stream_generate("toy", seed=1))


def test_the_back_off_doubles_up_to_its_limit_and_is_half_random() -> None:
    policy = RetryPolicy(attempts=9, first_pause_s=1.0, longest_pause_s=3.0, budget=100)
    attempts = Attempts(policy, RetryBudget(100), timeout_s=1000)
    for longest_s in (1.0, 2.0, 3.0, 3.0):
        pause_s = attempts.pause_s(Unavailable("away"))
        assert pause_s is not None
        assert longest_s / 2 <= pause_s <= longest_s


def test_a_success_gives_a_tenth_of_a_token_back() -> None:
    budget = RetryBudget(2.0)
    assert not budget.failed()
    for _ in range(12):
        budget.succeeded()
    assert not budget.failed()
    assert RetryBudget(4.0).failed()


async def test_what_is_not_said_when_to_repeat_is_repeated_where_nobody_answers(
    client: Any, gateway: ToyGateway
) -> None:
    gateway.faults.append(Fault(grpc.StatusCode.UNAVAILABLE))
    assert len(await got(client.generate("toy", seed=1))) == 1


async def test_a_stream_may_break_as_often_as_it_progresses(client: Any, gateway: ToyGateway) -> None:
    gateway.faults.extend([Fault(after_images=50)] * 11)
    images = await got(client.stream_generate("toy", first_seed=0, count=600, format="raw"))
    assert [image.index for image in images] == list(range(600))
    assert len(gateway.requests) == 12


def test_progress_gives_one_token_an_attempt_and_restarts_the_back_off() -> None:
    policy = RetryPolicy(attempts=2, first_pause_s=1.0, budget=8)
    budget = RetryBudget(8)
    attempts = Attempts(policy, budget, timeout_s=1000)
    for _ in range(5):
        attempts.progressed()
        attempts.progressed()
        pause_s = attempts.pause_s(Unavailable("away"))
        assert pause_s is not None
        assert pause_s <= 1.0
    # One token is gone, since a full budget takes none back.
    assert [budget.failed() for _ in range(3)] == [True, True, False]
    attempts.progressed()
    assert attempts.pause_s(Unavailable("away")) is None


async def test_a_stream_goes_on_with_the_first_missing_image(client: Any, gateway: ToyGateway) -> None:
    gateway.faults.extend([Fault(after_images=3), Fault(after_images=0), Fault(after_images=4)])
    images = await got(client.stream_generate("toy", first_seed=20, count=10, format="raw"))
    assert [image.array()[0, 0, 0] for image in images] == list(range(20, 30))
    assert [image.index for image in images] == list(range(10))
    assert [(r.seeds.first, r.seeds.count) for r in gateway.requests] == [(20, 10), (23, 7), (23, 7), (27, 3)]
    assert len({request.request_id for request in gateway.requests}) == 1


async def test_a_stream_of_sources_goes_on_with_the_rest_of_them(client: Any, gateway: ToyGateway) -> None:
    gateway.faults.append(Fault(after_images=2))
    images = await got(client.stream_generate("toy", seeds=[5, 3, 9, 1], format="raw"))
    assert [image.seed for image in images] == [5, 3, 9, 1]
    assert [source.seed for source in gateway.requests[1].sources] == [9, 1]


async def test_a_continued_stream_keeps_to_the_version_it_began_with(client: Any, gateway: ToyGateway) -> None:
    gateway.version = "4"
    gateway.faults.append(Fault(after_images=1))
    await got(client.stream_generate("toy", count=2))
    assert [request.version for request in gateway.requests] == ["", "4"]


async def test_a_stream_of_edits_skips_what_has_come_of_a_source(client: Any, gateway: ToyGateway) -> None:
    gateway.faults.append(Fault(after_images=4))
    sweep = Sweep("masculine", [0, 1, 2])
    images = await got(client.stream_edit(range(1, 4), sweep=sweep, model="toy", format="raw"))
    assert [(i.seed, int(i.array()[0, 0, 2])) for i in images] == [(s, b) for s in (1, 2, 3) for b in (100, 110, 120)]
    assert (gateway.requests[1].seeds.first, gateway.requests[1].seeds.count) == (2, 2)


@pytest.mark.parametrize("broken_after", range(9))
async def test_a_walk_goes_on_from_any_frame(client: Any, gateway: ToyGateway, broken_after: int) -> None:
    gateway.faults.append(Fault(after_images=broken_after))
    frames = await got(client.interpolate(0, 8, 4, frames=4, model="toy", format="raw"))
    assert [int(frame.array()[0, 0, 0]) for frame in frames] == [0, 2, 4, 6, 8, 7, 6, 5, 4]
    assert [frame.index for frame in frames] == list(range(9))


async def test_a_break_after_the_last_image_is_none(client: Any, gateway: ToyGateway) -> None:
    gateway.faults.append(Fault(after_images=99))
    assert len(await got(client.stream_generate("toy", count=3))) == 3
    assert len(gateway.requests) == 1


async def test_a_stream_that_cannot_go_on_gives_what_came_and_then_the_error(target: str, gateway: ToyGateway) -> None:
    gateway.faults.append(Fault(grpc.StatusCode.INTERNAL, after_images=2))
    with Client(target, retry=QUICK) as client:
        stream = client.stream_generate("toy", count=5)
        assert [next(stream).index, next(stream).index] == [0, 1]
        with pytest.raises(Exception, match="toy INTERNAL"):
            next(stream)


async def test_a_stream_may_be_left_early(target: str) -> None:
    with Client(target) as blocking:
        for image in blocking.stream_generate("toy", first_seed=0, count=100_000, format="raw"):
            if image.index == 3:
                break
        assert blocking.generate("toy", seed=1)[0].seed == 1
