"""What goes wrong around the gateway while requests come in: the network, the disk, the clock."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.faults.conftest import Broken, Gateways, Loading, in_thread, pause
from tests.faults.faked_clock import FakedClock
from tests.faults.load import DEADLINE_S
from tests.faults.relay import Relay

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
DAY = timedelta(days=1)


async def test_network_to_triton_cut(broken: Broken, loading: Loading, gateway_of: Gateways, enough: int) -> None:
    async with Relay(broken.stack.facts["triton_grpc"]) as network:
        gateway = await in_thread(gateway_of, PELLUCID_TRITON_ADDRESS=network.address)
        async with loading(gateway.address) as load:
            await load.answers(enough)
            network.cut()
            await load.until(lambda: load.tally.refused["UNAVAILABLE"] > 0)
            network.mend()
            await load.answers(enough)


async def test_network_to_triton_silent(broken: Broken, loading: Loading, gateway_of: Gateways, enough: int) -> None:
    async with Relay(broken.stack.facts["triton_grpc"]) as network:
        gateway = await in_thread(gateway_of, PELLUCID_TRITON_ADDRESS=network.address)
        async with loading(gateway.address) as load:
            await load.answers(enough)
            network.stall()
            await pause(DEADLINE_S + 2)
            network.mend()
            await load.answers(enough)
            assert load.tally.refused


async def test_disk_full_for_logs(loading: Loading, gateway_of: Gateways, enough: int) -> None:
    gateway = await in_thread(gateway_of, Path("/dev/full"), PELLUCID_LOG_LEVEL="DEBUG")
    async with loading(gateway.address) as load:
        await load.answers(2 * enough)
        assert not load.tally.refused


async def test_clock_jumps(loading: Loading, gateway_of: Gateways, enough: int, tmp_path: Path) -> None:
    clock = FakedClock(tmp_path / "clock")
    gateway = await in_thread(gateway_of, PELLUCID_LOG_LEVEL="DEBUG", **clock.settings)
    async with loading(gateway.address) as load:
        for offset, days in (("+0", 0), ("+1d", 1), ("-1d", -1), ("+0", 0)):
            clock.turn(offset)
            await load.answers(enough)
            assert abs(last_logged(gateway.log) - datetime.now(UTC) - days * DAY) < timedelta(minutes=1)
    assert not load.tally.refused


def last_logged(log: Path) -> datetime:
    """The wall clock of the last event, by the gateway."""
    return datetime.fromisoformat(json.loads(log.read_text().rsplit("\n", 2)[-2])["timestamp"])
