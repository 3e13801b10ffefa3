"""What goes wrong around the gateway while requests come in: the network, the disk, the clock."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import GatewayProcess
from tests.faults.conftest import Broken, Loading, in_thread, pause
from tests.faults.load import DEADLINE_S
from tests.faults.relay import Relay

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
Gateways = Callable[..., GatewayProcess]


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
