import asyncio

import pytest

from pellucid_gateway.errors import QuotaExceeded, Refused
from pellucid_gateway.identity.caller import Caller, Kind
from pellucid_gateway.identity.quotas import Quotas
from tests.pellucid_gateway.identity.passing_time import PassingTime

STUDIO = Caller("studio", Kind.KEY, images_per_minute=60, bytes_per_minute=6000)
OTHER = Caller("other", Kind.KEY, images_per_minute=60, bytes_per_minute=6000)
FREE = Caller("free", Kind.KEY)


@pytest.fixture
def clock() -> PassingTime:
    return PassingTime()


@pytest.fixture
def quotas(clock: PassingTime) -> Quotas:
    return Quotas(clock, clock.sleep)


def test_a_minutes_worth_may_be_taken_at_once_and_no_image_more(quotas: Quotas) -> None:
    quotas.take(STUDIO, 60)
    with pytest.raises(QuotaExceeded) as caught:
        quotas.take(STUDIO, 1)
    assert str(caught.value) == "studio has used up 60 images per minute"
    assert (caught.value.caller, caught.value.quota) == ("studio", "images per minute")
    assert caught.value.retry_after_s == pytest.approx(1)


def test_who_comes_back_when_told_is_served(quotas: Quotas, clock: PassingTime) -> None:
    quotas.take(STUDIO, 60)
    with pytest.raises(QuotaExceeded) as caught:
        quotas.take(STUDIO, 15)
    assert caught.value.retry_after_s == pytest.approx(15)
    clock.now_s += caught.value.retry_after_s
    quotas.take(STUDIO, 15)
    with pytest.raises(QuotaExceeded):
        quotas.take(STUDIO, 1)


def test_who_is_refused_pays_nothing(quotas: Quotas) -> None:
    quotas.take(STUDIO, 50)
    with pytest.raises(QuotaExceeded):
        quotas.take(STUDIO, 11)
    quotas.take(STUDIO, 10)


def test_an_hour_of_silence_saves_up_no_more_than_a_minute(quotas: Quotas, clock: PassingTime) -> None:
    quotas.take(STUDIO, 1)
    clock.now_s += 3600
    quotas.take(STUDIO, 60)
    with pytest.raises(QuotaExceeded):
        quotas.take(STUDIO, 1)


def test_a_request_larger_than_the_quota_is_refused_for_good_and_says_so(quotas: Quotas) -> None:
    with pytest.raises(Refused) as caught:
        quotas.take(STUDIO, 61)
    assert caught.value.reason == "QUOTA_TOO_SMALL"
    assert str(caught.value) == "61 images in one call, and the quota of studio is 60 a minute: use the stream"
    quotas.take(STUDIO, 60)


def test_callers_do_not_use_up_each_others_quota(quotas: Quotas) -> None:
    quotas.take(STUDIO, 60)
    quotas.take(OTHER, 60)


def test_without_a_quota_there_is_no_limit(quotas: Quotas) -> None:
    quotas.take(FREE, 10**9)
    quotas.charge(FREE, 10**15)
    quotas.take(FREE, 10**9)


def test_bytes_over_the_quota_are_a_debt_that_the_next_call_waits_for(quotas: Quotas, clock: PassingTime) -> None:
    quotas.take(STUDIO, 1)
    quotas.charge(STUDIO, 5000)
    quotas.take(STUDIO, 1)
    quotas.charge(STUDIO, 5000)
    with pytest.raises(QuotaExceeded) as caught:
        quotas.take(STUDIO, 1)
    assert caught.value.quota == "bytes per minute"
    assert caught.value.retry_after_s == pytest.approx(40)  # 4000 bytes too many at 100 a second
    clock.now_s += 40
    quotas.take(STUDIO, 1)


def test_the_first_quota_that_is_used_up_is_told_and_nothing_is_taken_of_the_other(
    quotas: Quotas, clock: PassingTime
) -> None:
    quotas.charge(STUDIO, 7000)
    with pytest.raises(QuotaExceeded, match="6000 bytes per minute"):
        quotas.take(STUDIO, 60)
    clock.now_s += 10
    quotas.take(STUDIO, 60)


async def test_a_stream_is_paced_instead_of_refused(quotas: Quotas, clock: PassingTime) -> None:
    started_s = clock.now_s
    for _ in range(18):
        await quotas.wait(STUDIO, 10)
    # 60 at once, and the other 120 at one a second.
    assert clock.now_s - started_s == pytest.approx(120)


async def test_a_stream_waits_for_debts_in_bytes(quotas: Quotas, clock: PassingTime) -> None:
    quotas.charge(STUDIO, 9000)
    await quotas.wait(STUDIO, 1)
    assert clock.slept_s == [pytest.approx(30)]


async def test_a_batch_larger_than_the_quota_waits_for_a_full_bucket_and_leaves_a_debt(
    quotas: Quotas, clock: PassingTime
) -> None:
    quotas.take(STUDIO, 30)
    await quotas.wait(STUDIO, 90)
    assert sum(clock.slept_s) == pytest.approx(30)
    with pytest.raises(QuotaExceeded) as caught:
        quotas.take(STUDIO, 1)
    assert caught.value.retry_after_s == pytest.approx(31)


async def test_streams_of_one_caller_go_in_order_of_arrival(clock: PassingTime) -> None:
    async def sleep(seconds: float) -> None:
        until_s = clock.now_s + seconds
        while clock.now_s < until_s:  # noqa: ASYNC110 - time passes below
            await asyncio.sleep(0)

    quotas, done = Quotas(clock, sleep), []

    async def one(images: int) -> None:
        await quotas.wait(STUDIO, images)
        done.append((images, clock.now_s))

    quotas.take(STUDIO, 60)
    started_s = clock.now_s
    async with asyncio.TaskGroup() as tasks:
        for images in (50, 1, 20):
            tasks.create_task(one(images))
        for _ in range(71):
            for _ in range(10):
                await asyncio.sleep(0)
            clock.now_s += 1
    assert done == [(50, started_s + 50), (1, started_s + 51), (20, started_s + 71)]


async def test_a_stream_that_is_cancelled_takes_nothing_and_lets_the_next_go(clock: PassingTime) -> None:
    woken = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await woken.wait()
        clock.now_s += seconds

    quotas = Quotas(clock, sleep)
    quotas.take(STUDIO, 60)
    first, second = (asyncio.create_task(quotas.wait(STUDIO, images)) for images in (50, 10))
    await asyncio.sleep(0)
    first.cancel()
    woken.set()
    before_s = clock.now_s
    await second
    assert first.cancelled()
    assert clock.now_s - before_s == pytest.approx(10)


async def test_one_caller_who_waits_holds_up_no_other(clock: PassingTime) -> None:
    never = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await never.wait()

    quotas = Quotas(clock, sleep)
    quotas.take(STUDIO, 60)
    waiting = asyncio.create_task(quotas.wait(STUDIO, 10))
    await asyncio.sleep(0)
    await quotas.wait(OTHER, 10)
    assert not waiting.done()
    waiting.cancel()


def test_a_changed_quota_holds_from_the_next_call(quotas: Quotas) -> None:
    quotas.take(FREE, 1000)
    limited = Caller("free", Kind.KEY, images_per_minute=10)
    quotas.take(limited, 10)
    with pytest.raises(QuotaExceeded, match="10 images per minute"):
        quotas.take(limited, 1)


def test_callers_who_are_gone_are_forgotten_and_debtors_are_not(quotas: Quotas, clock: PassingTime) -> None:
    for number in range(1000):
        quotas.take(Caller(f"token/{number}", Kind.TOKEN, images_per_minute=60), 1)
    quotas.charge(STUDIO, 60_000)
    clock.now_s += 61
    quotas.take(OTHER, 1)
    assert quotas.accounts == {"studio", "other"}
    with pytest.raises(QuotaExceeded):
        quotas.take(STUDIO, 1)


async def test_a_caller_who_waits_is_not_forgotten(clock: PassingTime) -> None:
    woken = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await woken.wait()

    quotas = Quotas(clock, sleep)
    quotas.take(STUDIO, 60)
    waiting = asyncio.create_task(quotas.wait(STUDIO, 60))
    await asyncio.sleep(0)
    clock.now_s += 61
    quotas.take(OTHER, 1)
    woken.set()
    await waiting
    with pytest.raises(QuotaExceeded):
        quotas.take(STUDIO, 30)
