import base64
import io

import httpx
import pytest
from google.rpc import error_details_pb2, status_pb2
from PIL import Image

from pellucid.v1 import generation_service_pb2 as pb
from pellucid_edge.edge import Edge
from tests.pellucid_edge.conftest import Running
from tests.pellucid_edge.framing import frame, frames, plain, trailers
from tests.pellucid_gateway.conftest import Gateway

pytestmark = pytest.mark.stack
GENERATE = "/pellucid.v1.GenerationService/Generate"
APP = "https://app.example"
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "content-type,x-grpc-web,authorization",
}


def _request() -> bytes:
    return frame(pb.GenerateRequest(model="models/paint", seeds=pb.SeedRange(first=7)))


async def test_a_grpc_web_call_gives_a_message_and_its_trailers_in_the_body(http: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    answer = await http.post(GENERATE, content=_request(), headers=headers)
    message, last = frames(answer.content)
    made = pb.GenerateResponse.FromString(message.data)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/grpc-web+proto")
    assert Image.open(io.BytesIO(made.images[0].data)).size == (8, 8)
    assert (made.images[0].recipe.seed, trailers(last)["grpc-status"]) == (7, "0")


async def test_a_grpc_web_text_call_is_base64_both_ways(http: httpx.AsyncClient) -> None:
    kind = "application/grpc-web-text+proto"
    headers = {"content-type": kind, "accept": kind, "x-grpc-web": "1"}
    answer = await http.post(GENERATE, content=base64.b64encode(_request()), headers=headers)
    message, last = frames(plain(answer.content))
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert pb.GenerateResponse.FromString(message.data).images[0].recipe.seed == 7
    assert trailers(last)["grpc-status"] == "0"


async def test_a_server_stream_over_grpc_web_gives_its_messages_in_order(http: httpx.AsyncClient) -> None:
    request = pb.StreamGenerateRequest(model="models/paint", seeds=pb.SeedRange(first=0, count=40))
    headers = {"content-type": "application/grpc-web+proto"}
    answer = await http.post("/pellucid.v1.GenerationService/StreamGenerate", content=frame(request), headers=headers)
    *messages, last = frames(answer.content)
    images = [image for m in messages for image in pb.StreamGenerateResponse.FromString(m.data).images]
    assert [image.recipe.seed for image in images] == list(range(40))
    assert trailers(last)["grpc-status"] == "0"


async def test_a_refusal_over_grpc_web_brings_its_details(http: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/grpc-web+proto", "origin": APP}
    request = frame(pb.GenerateRequest(model="models/paint", output={"quality": 101}))
    answer = await http.post(GENERATE, content=request, headers=headers)
    details = answer.headers["grpc-status-details-bin"]
    status = status_pb2.Status.FromString(base64.b64decode(details + "=" * (-len(details) % 4)))
    bad = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(bad)
    assert (answer.headers["grpc-status"], bad.field_violations[0].field) == ("3", "output.quality")
    assert "grpc-status-details-bin" in answer.headers["access-control-expose-headers"]


async def test_a_page_of_a_permitted_origin_may_call(http: httpx.AsyncClient) -> None:
    answer = await http.options(GENERATE, headers={"origin": APP, **PREFLIGHT})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, APP)
    assert "POST" in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert {"content-type", "x-grpc-web", "authorization", "grpc-timeout"} <= set(allowed)
    answer = await http.get("/v1/models", headers={"origin": APP})
    assert answer.headers["access-control-allow-origin"] == APP


@pytest.mark.parametrize("path", [GENERATE, "/v1/models/paint:generate"])
async def test_a_page_of_another_origin_may_not(http: httpx.AsyncClient, path: str) -> None:
    origin = {"origin": "https://app.example.evil.example"}
    preflight = await http.options(path, headers=origin | PREFLIGHT)
    answer = await http.get("/v1/models", headers=origin)
    assert "access-control-allow-origin" not in preflight.headers
    assert "access-control-allow-origin" not in answer.headers


async def test_without_origins_no_page_may_call(gateway: Gateway, running: Running) -> None:
    assert Edge().origins == ()
    async with (
        running(f"127.0.0.1:{gateway.core.port}") as edge,
        httpx.AsyncClient(base_url=f"http://{edge.address}", trust_env=False) as http,
    ):
        for answer in (
            await http.options(GENERATE, headers={"origin": APP, **PREFLIGHT}),
            await http.get("/v1/models", headers={"origin": APP}),
        ):
            assert "access-control-allow-origin" not in answer.headers


async def test_a_star_lets_all_pages_call(gateway: Gateway, running: Running) -> None:
    async with (
        running(f"127.0.0.1:{gateway.core.port}", origins=("*",)) as edge,
        httpx.AsyncClient(base_url=f"http://{edge.address}", trust_env=False) as http,
    ):
        answer = await http.get("/v1/models", headers={"origin": "https://anyone.example"})
        assert answer.headers["access-control-allow-origin"] == "https://anyone.example"
