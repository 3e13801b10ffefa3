import base64
import io
import json
from typing import Any

import httpx
import pytest
from PIL import Image

from pellucid_gateway.errors import BackendUnreachable
from pellucid_gateway.latents import draw
from tests.pellucid_edge.eventually import eventually
from tests.pellucid_gateway.conftest import Gateway
from tests.pellucid_gateway.rpc.asking import painted

pytestmark = pytest.mark.stack
RAW = {"format": "IMAGE_FORMAT_RAW"}


def _error_info(reason: str) -> dict[str, str]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "pellucid.dev", "reason": reason}


def _colour(image: dict[str, Any]) -> list[int]:
    return list(base64.b64decode(image["data"])[:3])


async def test_models_are_listed_by_pages_and_tasks(http: httpx.AsyncClient) -> None:
    page = (await http.get("/v1/models", params={"pageSize": 1})).json()
    assert [model["name"] for model in page["models"]] == ["models/meter"]
    rest = (await http.get("/v1/models", params={"page_token": page["nextPageToken"]})).json()
    assert [model["name"] for model in rest["models"]] == ["models/paint"]
    chosen = (await http.get("/v1/models", params={"task": "TASK_GENERATE"})).json()
    assert [model["name"] for model in chosen["models"]] == ["models/paint"]


async def test_a_model_and_its_axes_are_read_by_their_names(http: httpx.AsyncClient) -> None:
    card = (await http.get("/v1/models/paint")).json()["model"]
    assert (card["task"], card["height"], card["latent"]) == ("TASK_GENERATE", 8, {"size": 4, "prior": "PRIOR_NORMAL"})
    axis = (await http.get("/v1/models/paint/axes/green")).json()["axis"]
    assert (axis["name"], axis["intercept"], axis["slope"]) == ("models/paint/axes/green", 10, 5)


async def test_images_are_generated_from_seeds_of_64_bits(http: httpx.AsyncClient) -> None:
    seeds = {"first": str(2**64 - 1), "count": 2}
    answer = await http.post("/v1/models/paint:generate", json={"seeds": seeds, "output": RAW, "requestId": "mine"})
    made = answer.json()
    assert (answer.status_code, answer.headers["content-type"], made["requestId"]) == (200, "application/json", "mine")
    assert [image["recipe"]["seed"] for image in made["images"]] == [str(2**64 - 1), "0"]
    assert [_colour(image) for image in made["images"]] == [painted(draw(seed, 0, 4)) for seed in (2**64 - 1, 0)]


async def test_a_source_is_moved_along_an_axis(http: httpx.AsyncClient) -> None:
    edit = {"moves": [{"axis": "red", "steps": 1}], "locks": ["green"]}
    request = {"sources": [{"latent": {"values": [1, -1, 0.5, 0]}}], "edit": edit, "output": RAW}
    [image] = (await http.post("/v1/models/paint:edit", json=request)).json()["images"]
    assert _colour(image) == [160, 112, 136]


@pytest.mark.parametrize(
    ("query", "kind", "name"),
    [("", "image/jpeg", "JPEG"), ("&format=IMAGE_FORMAT_PNG", "image/png", "PNG"), ("&format=3", "image/webp", "WEBP")],
)
async def test_an_image_is_rendered_as_a_picture_of_its_own_type(
    http: httpx.AsyncClient, query: str, kind: str, name: str
) -> None:
    answer = await http.get(f"/v1/models/paint:render?seed=7&moves=red:+2&locks=green{query}")
    picture = Image.open(io.BytesIO(answer.content))
    latent = draw(7, 0, 4)
    latent[0] += 2
    assert (answer.status_code, answer.headers["content-type"], picture.format) == (200, kind, name)
    assert [abs(a - b) <= 3 for a, b in zip(picture.getpixel((4, 4)), painted(latent), strict=True)] == [True] * 3


async def test_a_stream_comes_as_lines_of_which_the_last_has_the_timings(http: httpx.AsyncClient) -> None:
    request = {"seeds": {"first": "5", "count": 40}, "output": RAW}
    async with http.stream("POST", "/v1/models/paint:streamGenerate", json=request) as answer:
        messages = [json.loads(line) async for line in answer.aiter_lines()]
    images = [image for message in messages for image in message.get("images", [])]
    assert [int(image.get("index", 0)) for image in images] == list(range(40))
    assert [_colour(image) for image in images] == [painted(draw(seed, 0, 4)) for seed in range(5, 45)]
    assert ["timings" in message for message in messages] == [False] * (len(messages) - 1) + [True]


async def test_a_stream_s_lines_come_while_it_runs_and_one_cut_short_has_no_timings(
    gateway: Gateway, http: httpx.AsyncClient
) -> None:
    request = {"seeds": {"count": 10_000}, "output": RAW}
    async with http.stream("POST", "/v1/models/paint:streamGenerate", json=request) as answer:
        lines = answer.aiter_lines()
        messages = [json.loads(await anext(lines))]
        gateway.backend.failure = BackendUnreachable("gone")
        messages += [json.loads(line) async for line in lines]
    assert answer.status_code == 200
    assert sum(len(message["images"]) for message in messages) < 10_000
    assert not any("timings" in message for message in messages)


async def test_a_stream_that_is_refused_at_once_has_the_status_of_the_refusal(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/models/paint:streamGenerate", json={"seeds": {"count": -1}})
    assert (answer.status_code, answer.json()["details"][1]["fieldViolations"][0]["field"]) == (400, "seeds.count")


async def test_an_invalid_argument_is_a_400_that_names_the_field(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/models/paint:generate", json={"output": {"quality": 101}})
    rule = "must be greater than or equal to 1 and less than or equal to 100, and it is 101"
    violation = {"field": "output.quality", "description": rule}
    details = [
        _error_info("INVALID_REQUEST"),
        {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]},
    ]
    assert answer.status_code == 400
    assert answer.json() == {"code": 3, "message": f"output.quality: {rule}", "details": details}


async def test_an_unknown_model_is_a_404(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/models/nobody")
    assert (answer.status_code, answer.json()["code"]) == (404, 5)
    assert answer.json()["details"] == [_error_info("NOT_FOUND")]


async def test_a_gateway_without_its_backend_says_so_and_when_to_come_back(
    gateway: Gateway, http: httpx.AsyncClient
) -> None:
    gateway.backend.failure = BackendUnreachable("gone")
    answer = await http.post("/v1/models/paint:generate", json={})
    assert (answer.status_code, answer.json()["code"]) == (503, 14)
    assert answer.json()["details"][0] == _error_info("BACKEND_UNREACHABLE")
    assert answer.json()["details"][1]["@type"] == "type.googleapis.com/google.rpc.RetryInfo"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/v1/models?nothing=1", b"", 400, 'Could not find field "nothing"'),
        ("GET", "/v1/models/paint:render?seed=x", b"", 400, 'seed: invalid value "x" for type TYPE_UINT64'),
        ("POST", "/v1/models/paint:generate", b"{", 400, "Unexpected end of string"),
        ("POST", "/v1/models/paint:generate", b'{"model": "models/meter"}', 400, "conflicting with the value"),
        ("GET", "/v1/models/paint:generate", b"", 404, "Could not resolve /v1/models/paint:generate to a method"),
        ("POST", "/pellucid.v1.ModelService/ListModels", b"{}", 404, "Could not resolve"),
        ("GET", "/", b"", 404, "Could not resolve / to a method"),
    ],
)
async def test_what_the_edge_itself_refuses_is_a_status_too(
    http: httpx.AsyncClient, method: str, path: str, body: bytes, status: int, message: str
) -> None:
    answer = await http.request(method, path, content=body, headers={"content-type": "application/json"})
    code, reason = {400: (3, "INVALID_REQUEST"), 404: (5, "NOT_FOUND")}[status]
    told = answer.json()
    assert (answer.status_code, told["code"], told["details"]) == (status, code, [_error_info(reason)])
    assert message in told["message"]
    assert answer.headers["content-type"] == "application/json"


async def test_health_is_that_of_the_gateway(gateway: Gateway, http: httpx.AsyncClient) -> None:
    assert (await http.get("/healthz")).status_code == 200
    await gateway.core.server.drain(5)

    async def is_away() -> bool:
        return (await http.get("/healthz")).status_code == 503

    await eventually(is_away)
