import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import strategies as st

from pellucid_edge import openapi
from pellucid_edge.process import EdgeProcess
from pellucid_gateway.gateway import Gateway
from tests.fuzz.conftest import OWNER, Fuzz
from tests.fuzz.mutations import mutated
from tests.fuzz.tally import Tally
from tests.fuzz.vocabulary import ALL
from tests.pellucid_edge.conftest import Running, running

__all__ = ["running"]

pytestmark = pytest.mark.stack
DOCUMENT = json.loads((Path(openapi.__file__).parent / "openapi.json").read_text())
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = [(path, verb) for path, verbs in DOCUMENT["paths"].items() for verb in verbs]
KEY = {"x-api-key": OWNER}
TIMEOUT_S = 10
UNAVAILABLE = {503, 504}

GENERATE = b'{"seeds":{"first":"7","count":2},"controls":{"truncation":0.5},"output":{"format":"IMAGE_FORMAT_RAW"}}'
EDIT = b'{"sources":[{"latent":{"values":[1,-1,0.5,0]}}],"edit":{"moves":[{"axis":"red","steps":1}],"locks":["green"]}}'


def http(line: str, body: bytes = b"", *more: str) -> bytes:
    headers = ["host: edge", f"x-api-key: {OWNER}", f"content-length: {len(body)}", "connection: close", *more]
    return "\r\n".join([f"{line} HTTP/1.1", *headers, "", ""]).encode() + body


JSON = "content-type: application/json"
RAW = (
    http("GET /v1/models?pageSize=1&task=TASK_GENERATE"),
    http("GET /v1/models/paint:render?seed=7&moves=red:%2B2&locks=green&quality=50"),
    http("POST /v1/models/paint:generate", GENERATE, JSON),
    http("POST /v1/models/paint:edit", EDIT, JSON),
    http("POST /v1/models/paint:generate", GENERATE, "content-type: text/plain"),
    http("POST /v1/models/paint:generate", GENERATE, "content-type: application/grpc-web+proto"),
    http("POST /v1/models/paint:generate", b"[" * 10_000, JSON),
    http("POST /v1/models/paint:generate", GENERATE, JSON, "expect: 100-continue"),
    http("GET /v1/models", b"", f"x-filler: {'x' * 200_000}"),
    http(f"GET /v1/models/{'paint' * 10_000}"),
    http("DELETE /v1/models/paint"),
    http("GET /v1/models/paint/%2e%2e/%00"),
    http("POST /pellucid.v1.AdminService/Drain", b"", "content-type: application/grpc"),
)


@pytest.fixture
async def edge(served: Gateway, running: Running) -> AsyncIterator[EdgeProcess]:
    async with running(f"127.0.0.1:{served.port}") as process:
        yield process


def count(tally: Tally, status: int, body: bytes, asked: object) -> None:
    """Count an answer. Raises AssertionError for a failure of ours that is not told as the contract has it."""
    told = status < 500 or (status in UNAVAILABLE and {"code", "message"} <= json.loads(body).keys())
    tally.failed += not told
    tally.answered += told and status < 400
    tally.refused += told and status >= 400
    assert told, (status, body, asked)


@pytest.mark.parametrize(("path", "verb"), OPERATIONS)
async def test_any_json_is_answered_or_refused(
    edge: EdgeProcess, fuzz: Fuzz, tally: Tally, path: str, verb: str
) -> None:
    async def ask(asked: tuple[Any, str]) -> None:
        case, model = asked
        if "model" in (case.path_parameters or {}):
            # So that what is asked gets further than to NOT_FOUND.
            case.path_parameters["model"] = model.removeprefix("models/")
        url = f"http://{edge.address}"
        answer = await asyncio.to_thread(case.call, base_url=url, headers=KEY, timeout=TIMEOUT_S)
        count(tally, answer.status_code, answer.content, asked)

    await fuzz(5, st.tuples(SCHEMA[path][verb].as_strategy(), st.sampled_from(ALL)), ask)


async def test_any_bytes_over_http_are_answered_or_refused(edge: EdgeProcess, fuzz: Fuzz, tally: Tally) -> None:
    async def ask(sent: bytes) -> None:
        host, _, port = edge.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        async with asyncio.timeout(TIMEOUT_S):
            # An edge that has refused closes before it has read all.
            with suppress(ConnectionError):
                writer.write(sent)
                writer.write_eof()
                await writer.drain()
            answer = b""
            with suppress(ConnectionError):
                answer = await reader.read()
        writer.close()
        # What was cut off in the middle gets no answer.
        status = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 400
        count(tally, status, answer.partition(b"\r\n\r\n")[2], sent)

    raw = st.sampled_from(RAW)
    await fuzz(60, st.one_of(raw, mutated(raw)), ask)
