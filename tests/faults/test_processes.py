"""Processes that die, freeze and limp while requests come in."""

import signal

import pytest

from tests.faults.conftest import Broken, Loading, frozen, pause
from tests.faults.load import DEADLINE_S

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


async def test_triton_killed(broken: Broken, loading: Loading, enough: int) -> None:
    async with loading(broken.gateway) as load:
        await load.answers(enough)
        broken.triton().kill()
        await load.until(lambda: bool(load.tally.refused))
        await load.answers(enough)
        assert load.tally.refused["UNAVAILABLE"]


async def test_triton_frozen_for_longer_than_any_deadline(broken: Broken, loading: Loading, enough: int) -> None:
    async with loading(broken.gateway) as load:
        await load.answers(enough)
        async with frozen(broken.triton()):
            await pause(DEADLINE_S + 2)
        await load.answers(enough)
        assert load.tally.refused


async def test_triton_slow(broken: Broken, loading: Loading, enough: int) -> None:
    async with loading(broken.gateway) as load:
        await load.answers(enough)
        triton = broken.triton()
        for _ in range(4 * enough):
            async with frozen(triton):
                await pause(0.09)
            await pause(0.01)
        await load.answers(enough)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["told to stop", "killed"])
async def test_gateway_ended(broken: Broken, loading: Loading, enough: int, how: signal.Signals) -> None:
    before = broken.gateway_process()
    async with loading(broken.gateway) as load:
        await load.answers(enough)
        before.send_signal(how)
        await load.until(lambda: not before.is_running())
        await load.answers(enough)
    assert broken.gateway_process().pid != before.pid
