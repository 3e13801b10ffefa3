"""The certificate is replaced, again and again, while each request makes a connection of its own."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.e2e.conftest import GatewayProcess
from tests.faults.conftest import Broken, Counted
from tests.faults.load import GrpcLoad, Load
from tests.pellucid_gateway.identity.certificates import chain, replace

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
AUTHORITIES = [trustme.CA(), trustme.CA()]


class TlsGateway(GatewayProcess):
    """A gateway that is asked over TLS whether it serves."""

    def _wait(self) -> None:
        with grpc.secure_channel(self.address, trusting(*AUTHORITIES)) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            answer = check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=30)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def trusting(*authorities: trustme.CA) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(b"".join(authority.cert_pem.bytes() for authority in authorities))


@pytest.fixture
def gateway(broken: Broken, repository: Path, tmp_path: Path) -> Iterator[TlsGateway]:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    issued = AUTHORITIES[0].issue_cert("127.0.0.1")
    settings = {
        "PELLUCID_TLS_CERTIFICATE": str(replace(certificate, chain(issued))),
        "PELLUCID_TLS_KEY": str(replace(key, issued.private_key_pem.bytes())),
    }
    started = TlsGateway(broken.stack, repository, tmp_path / "gateway.log", **settings)
    yield started
    started.stop()


def connection(gateway: TlsGateway, *authorities: trustme.CA) -> grpc.aio.Channel:
    # Channels that are alike share connections otherwise.
    options = [("grpc.use_local_subchannel_pool", 1)]
    return grpc.aio.secure_channel(gateway.address, trusting(*authorities), options)


async def test_certificate_swapped(
    gateway: TlsGateway, counted: Counted[Load], expected: list[bytes], enough: int, tmp_path: Path, is_long: bool
) -> None:
    async with counted(GrpcLoad(lambda: connection(gateway, *AUTHORITIES), expected)) as load:
        await load.answers(enough)
        for number in range(1, 1 + (20 if is_long else 3)):
            issued = AUTHORITIES[number % 2].issue_cert("127.0.0.1")
            replace(tmp_path / "tls.crt", chain(issued))
            # Meanwhile, certificate and key do not belong together.
            await load.answers(5)
            replace(tmp_path / "tls.key", issued.private_key_pem.bytes())
            await load.answers(5)
            assert await is_taken(gateway, AUTHORITIES[number % 2])
            assert not await is_taken(gateway, AUTHORITIES[1 - number % 2])
    assert not load.tally.refused


async def is_taken(gateway: TlsGateway, authority: trustme.CA) -> bool:
    async with connection(gateway, authority) as channel:
        try:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            return False
    return True
