import base64
from collections.abc import Mapping

import httpx
import numpy as np
import pytest

from pellucid_gateway.backends.base import Tensor
from pellucid_gateway.backends.fake import FakeBackend
from tests.pellucid_gateway import painting

pytestmark = pytest.mark.stack
SIDE = 1170
"""Of the largest square whose pixels, raw, are a permitted message."""


def paint_large(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    count = len(inputs["latent"])
    return {"image": np.arange(count * SIDE * SIDE * 3, dtype=np.uint8).reshape(count, SIDE, SIDE, 3)}


@pytest.fixture
def backend() -> FakeBackend:
    backend = painting.backend(height=SIDE, width=SIDE)
    backend.models["paint"] = (backend.models["paint"][0], paint_large)
    return backend


async def test_the_largest_image_comes_back_whole(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/models/paint:generate", json={"output": {"format": "IMAGE_FORMAT_RAW"}})
    [image] = answer.json()["images"]
    assert base64.b64decode(image["data"]) == np.arange(SIDE * SIDE * 3, dtype=np.uint8).tobytes()


async def test_the_largest_image_is_taken_in(http: httpx.AsyncClient) -> None:
    pixels = np.full((SIDE, SIDE, 3), [10, 20, 30], np.uint8)
    image = {"data": base64.b64encode(pixels.tobytes()).decode(), "rawHeight": SIDE, "rawWidth": SIDE}
    answer = await http.post("/v1/models/meter:analyze", json={"images": [image]})
    [analysis] = answer.json()["analyses"]
    assert [round(measured["value"]) for measured in analysis["measurements"]] == [10, 20, 30]


async def test_a_message_beyond_the_gateway_s_limit_is_refused_with_the_limit(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/models/meter:analyze", json={"images": [{"data": "A" * 6 * 2**20}]})
    assert (answer.status_code, answer.json()["code"]) == (429, 8)
    assert "larger than max" in answer.json()["message"]
    assert "4194304" in answer.json()["message"]


async def test_a_body_beyond_the_edge_s_limit_is_refused_with_the_limit(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/models/meter:analyze", content=b" " * (16 * 2**20 + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, 8)
    assert answer.json()["message"] == "the body is larger than 16777216 bytes"
