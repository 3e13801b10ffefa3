"""One of two gateway processes on the same port dies while requests come in."""

import grpc
import psutil
import pytest

from tests.e2e.conftest import GatewayProcess
from tests.faults.conftest import Counted, Gateways, in_thread
from tests.faults.load import GrpcLoad, Load

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def workers(gateway: GatewayProcess) -> list[psutil.Process]:
    return psutil.Process(gateway.process.pid).children()


async def test_one_of_two_workers_killed(
    gateway_of: Gateways, counted: Counted[Load], expected: list[bytes], enough: int
) -> None:
    gateway = await in_thread(gateway_of, PELLUCID_WORKERS="2")

    def connection() -> grpc.aio.Channel:
        # The kernel shares out connections: each request has one of its own.
        return grpc.aio.insecure_channel(gateway.address, options=[("grpc.use_local_subchannel_pool", 1)])

    async with counted(GrpcLoad(connection, expected)) as load:
        await load.answers(enough)
        killed, other = workers(gateway)
        killed.kill()
        await load.until(lambda: len({worker.pid for worker in workers(gateway)} - {killed.pid}) == 2)
        await load.answers(2 * enough)
        assert other.is_running()
        # What was under way in the one that died, and nothing else.
        assert load.tally.refused.total() <= 5
        assert load.tally.refused.keys() <= {"UNAVAILABLE"}
