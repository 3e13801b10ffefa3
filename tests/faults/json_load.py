"""The same load as JSON over HTTP."""

import base64

import grpc
import httpx

from tests.faults.load import DEADLINE_S, Load

STATUSES = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""What gRPC calls them."""


class JsonLoad(Load):
    """Single images through an edge's HTTP API; what gRPC has a status for is counted by that."""

    def __init__(self, http: httpx.AsyncClient, expected: list[bytes], gap_s: float):
        super().__init__(expected, gap_s)
        self._http = http

    async def _ask(self, number: int) -> str:
        seed = number % len(self._expected)
        body = {"sources": [{"seed": seed}], "output": {"format": "IMAGE_FORMAT_RAW"}}
        try:
            answer = await self._http.post("/v1/models/digiface:generate", json=body, timeout=DEADLINE_S)
        except httpx.TimeoutException as error:
            raise _ended(grpc.StatusCode.DEADLINE_EXCEEDED, str(error)) from error
        except httpx.TransportError as error:
            raise _ended(grpc.StatusCode.UNAVAILABLE, str(error)) from error
        if answer.is_success:
            return self._fault([base64.b64decode(image["data"]) for image in answer.json()["images"]], seed, 1)
        raise _ended(STATUSES.get(answer.status_code, grpc.StatusCode.UNKNOWN), f"{answer.status_code}: {answer.text}")


def _ended(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)
