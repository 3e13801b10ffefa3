import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import httpx
import pytest

from pellucid.v1 import model_service_pb2 as pb
from pellucid.v1 import model_service_pb2_grpc
from pellucid_edge.edge import Jwt, RateLimit
from tests.pellucid_edge.conftest import Running
from tests.pellucid_edge.framing import frame
from tests.pellucid_edge.tokens import AUDIENCE, ISSUER, Signer, published
from tests.pellucid_edge.witness import Witness, serving

pytestmark = pytest.mark.stack
LIST = "/pellucid.v1.ModelService/ListModels"


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture(params=["file", "URL"])
def jwks(request: pytest.FixtureRequest, signer: Signer, tmp_path: Path) -> Iterator[str]:
    if request.param == "file":
        file = tmp_path / "jwks.json"
        file.write_text(signer.jwks())
        yield str(file)
    else:
        with published(signer.jwks()) as url:
            yield url


@asynccontextmanager
async def guarded(running: Running, jwks: str) -> AsyncIterator[tuple[httpx.AsyncClient, Witness, str]]:
    """A client of an edge that asks for tokens, and the server that it protects."""
    witness = Witness()
    jwt = Jwt(ISSUER, (AUDIENCE,), jwks)
    async with (
        serving(witness) as address,
        running(address, jwt=jwt, origins=("https://app.example",)) as edge,
        httpx.AsyncClient(base_url=f"http://{edge.address}", trust_env=False) as http,
    ):
        yield http, witness, edge.address


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _unsigned(claims: dict[str, object]) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join([base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts] + [""])


async def test_a_valid_token_passes_and_goes_on_to_the_gateway(running: Running, signer: Signer, jwks: str) -> None:
    async with guarded(running, jwks) as (http, witness, address):
        token = signer.token()
        assert (await http.get("/v1/models", headers=_bearer(token))).status_code == 200
        async with grpc.aio.insecure_channel(address) as channel:
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            await stub.ListModels(pb.ListModelsRequest(), metadata=tuple(_bearer(token).items()))
    assert [came["authorization"] for came in witness.came] == [f"Bearer {token}"] * 2


async def test_no_token_and_every_bad_one_is_a_401_over_json_grpc_web_and_grpc(
    running: Running, signer: Signer, tmp_path: Path
) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(signer.jwks())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 600}
    # Clocks may differ by a minute.
    expired = signer.token(exp=int(time.time()) - 120)
    malformed = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
    cases: list[tuple[str, dict[str, str]]] = [
        ("Jwt is missing", {}),
        ("Jwt is expired", _bearer(expired)),
        ("Jwt not yet valid", _bearer(signer.token(nbf=int(time.time()) + 300))),
        ("Audiences in Jwt are not allowed", _bearer(signer.token(aud="another"))),
        ("Jwt issuer is not configured", _bearer(signer.token(iss="https://another.example"))),
        ("Jwt verification fails", _bearer(Signer().token())),
        (malformed, _bearer(_unsigned(claims))),
        (malformed, _bearer("nonsense")),
    ]
    told = []
    async with guarded(running, str(file)) as (http, witness, address), grpc.aio.insecure_channel(address) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        for _, headers in cases:
            answer = await http.get("/v1/models", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, 16)
            assert answer.json()["details"][0]["reason"] == "UNAUTHENTICATED"
            told.append(answer.json()["message"])
            web = {"content-type": "application/grpc-web+proto", **headers}
            answer = await http.post(LIST, content=frame(pb.ListModelsRequest()), headers=web)
            assert answer.headers["grpc-status"] == "16"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ListModels(pb.ListModelsRequest(), metadata=tuple(headers.items()))
            assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert told == [message for message, _ in cases]
    assert witness.came == []


async def test_a_page_s_preflight_the_document_and_health_need_no_token(
    running: Running, signer: Signer, tmp_path: Path
) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(signer.jwks())
    preflight = {"origin": "https://app.example", "access-control-request-method": "POST"}
    async with guarded(running, str(file)) as (http, _, _):
        answer = await http.options(LIST, headers=preflight)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://app.example")
        assert (await http.get("/openapi.json")).status_code == 200
        assert (await http.get("/healthz")).status_code == 200


async def test_each_caller_has_a_count_of_requests_of_its_own(running: Running) -> None:
    async with (
        serving(Witness()) as address,
        running(address, rate_limit=RateLimit(3, "x-api-key")) as edge,
        httpx.AsyncClient(base_url=f"http://{edge.address}", trust_env=False) as http,
    ):

        async def statuses(caller: str | None) -> list[int]:
            headers = {"x-api-key": caller} if caller else {}
            return [(await http.get("/v1/models", headers=headers)).status_code for _ in range(4)]

        for caller in ("one", "two", None):
            assert await statuses(caller) == [200, 200, 200, 429]
        refused = await http.get("/v1/models", headers={"x-api-key": "one"})
        async with grpc.aio.insecure_channel(edge.address) as channel:
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.ListModels(pb.ListModelsRequest(), metadata=(("x-api-key", "one"),))
    assert refused.json()["message"] == "more than 3 requests a minute from this caller"
    assert refused.json()["details"][0]["reason"] == "QUOTA_EXCEEDED"
    assert 0 < int(refused.headers["x-ratelimit-reset"]) <= 60
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
