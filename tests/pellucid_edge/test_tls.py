import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import grpc
import httpx
import pytest
import trustme

from pellucid.v1 import model_service_pb2 as pb
from pellucid.v1 import model_service_pb2_grpc
from pellucid_edge.edge import Tls
from tests.pellucid_edge.conftest import Running
from tests.pellucid_edge.eventually import eventually
from tests.pellucid_edge.witness import Witness, serving

pytestmark = pytest.mark.stack


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def write(authority: trustme.CA, tmp_path: Path) -> Callable[[], Tls]:
    """Writes a new certificate and its key in the places of the ones before."""

    def write() -> Tls:
        issued = authority.issue_cert("127.0.0.1")
        for name, content in (("key.pem", issued.private_key_pem), ("chain.pem", issued.cert_chain_pems[0])):
            content.write_to_path(str(tmp_path / f"new-{name}"))
            (tmp_path / f"new-{name}").rename(tmp_path / name)
        return Tls(str(tmp_path / "chain.pem"), str(tmp_path / "key.pem"))

    return write


async def _serial(address: str, trusting: ssl.SSLContext) -> str:
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=trusting)
    serial = str(writer.get_extra_info("peercert")["serialNumber"])
    writer.close()
    await writer.wait_closed()
    return serial


async def test_json_and_grpc_pass_through_tls_on_one_port(
    authority: trustme.CA, trusting: ssl.SSLContext, write: Callable[[], Tls], running: Running
) -> None:
    async with serving(Witness("here")) as address, running(address, tls=write()) as edge:
        async with httpx.AsyncClient(base_url=f"https://{edge.address}", trust_env=False, verify=trusting) as http:
            assert (await http.get("/v1/models")).json() == {"nextPageToken": "here"}
        credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        async with grpc.aio.secure_channel(edge.address, credentials) as channel:
            answer = await model_service_pb2_grpc.ModelServiceStub(channel).ListModels(pb.ListModelsRequest())
            assert answer.next_page_token == "here"


async def test_a_new_certificate_is_shown_without_a_restart(
    trusting: ssl.SSLContext, write: Callable[[], Tls], running: Running
) -> None:
    async with running("127.0.0.1:1", tls=write()) as edge:
        pid, first = edge.pid, await _serial(edge.address, trusting)

        async def is_new() -> bool:
            return await _serial(edge.address, trusting) != first

        write()
        await eventually(is_new)
        assert edge.pid == pid


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_gateway_is_believed_by_its_certificate(
    authority: trustme.CA, tmp_path: Path, running: Running, is_known: bool
) -> None:
    issued = (authority if is_known else trustme.CA()).issue_cert("127.0.0.1")
    pair = (issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes())
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    async with (
        serving(Witness("safe"), grpc.ssl_server_credentials([pair])) as address,
        running(address, gateway_ca=str(ca)) as edge,
        httpx.AsyncClient(base_url=f"http://{edge.address}", trust_env=False) as http,
    ):
        answer = await http.get("/v1/models")
    assert answer.status_code == (200 if is_known else 503)
