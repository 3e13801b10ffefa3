import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import sampled_from

from pellucid_edge import openapi
from pellucid_edge.contract import SERVICES
from pellucid_edge.process import EdgeProcess

ROOT = Path(__file__).parents[2]
FILE = ROOT / "service" / "pellucid_edge" / "openapi.json"
DOCUMENT = json.loads(FILE.read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]
"""Of the document that is shipped."""


def test_the_document_is_what_the_contract_gives(tmp_path: Path) -> None:
    image, made = tmp_path / "contract.binpb", tmp_path / "openapi.json"
    subprocess.run([sys.executable, ROOT / "proto" / "generate.py", "image", image], check=True)
    subprocess.run([sys.executable, "-m", "pellucid_edge.openapi", image, made], check=True)
    assert made.read_text() == FILE.read_text(), openapi.__doc__


def test_each_method_with_an_annotation_has_an_operation() -> None:
    operations = {operation["operationId"] for path in DOCUMENT["paths"].values() for operation in path.values()}
    methods = {method.name for service in SERVICES for method in service.methods}
    assert methods - operations == {"StreamAnalyze", "StreamTranslate"}
    assert operations <= methods


def test_a_path_has_a_parameter_for_each_part_of_a_name() -> None:
    operation = DOCUMENT["paths"]["/v1/models/{model}/axes/{axis}"]["get"]
    limits = {p["name"]: p["schema"]["pattern"] for p in operation["parameters"] if p["in"] == "path"}
    assert limits == {"model": "^[a-z0-9][a-z0-9_.-]{0,62}$", "axis": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"}


def test_a_url_carries_the_fields_of_messages_with_dots_but_no_lists_of_messages() -> None:
    names = [p["name"] for p in DOCUMENT["paths"]["/v1/models/{model}:render"]["get"]["parameters"]]
    assert names[:5] == ["model", "version", "seed", "moves", "locks"]
    assert {"controls.caption", "controls.truncation"} < set(names)
    assert {"controls.classes", "controls.styleMixes"}.isdisjoint(names)


def test_the_contract_s_limits_are_in_the_schemas() -> None:
    count = SCHEMAS["SeedRange"]["properties"]["count"]
    assert (count["minimum"], count["maximum"]) == (1, 1_000_000)
    assert SCHEMAS["GenerateRequest"]["properties"]["sources"]["maxItems"] == 64
    assert SCHEMAS["Controls"]["properties"]["caption"]["maxLength"] == 1000
    assert SCHEMAS["MapInput"]["properties"]["rawBytes"]["enum"] == [0, 1, 2, 4]
    assert [choice["required"] for choice in SCHEMAS["Source"]["allOf"][0]["oneOf"]] == [
        ["seed"],
        ["latent"],
        ["recipe"],
    ]
    assert SCHEMAS["StyleTarget"]["properties"]["clusters"]["propertyNames"]["pattern"] == "^-?[0-9]{1,19}$"


def test_what_must_be_there_is_required_and_what_the_path_says_is_not_in_the_body() -> None:
    assert SCHEMAS["EditRequest"]["required"] == ["sources"]
    assert SCHEMAS["Latent"]["required"] == ["values"]
    assert SCHEMAS["StyleMix"]["required"] == ["source", "layers"]
    assert "required" not in SCHEMAS["Move"] or "steps" not in SCHEMAS["Move"]["required"]
    assert "model" not in SCHEMAS["GenerateRequest"]["properties"]


def test_the_contract_s_comments_are_in_it() -> None:
    operation = DOCUMENT["paths"]["/v1/models/{model}:render"]["get"]
    assert operation["description"] == "One image as an HTTP body, so that a browser's <img> or curl gets a picture."
    assert "- `IMAGE_FORMAT_WEBP`: WebP, lossless" in SCHEMAS["ImageFormat"]["description"]


def test_a_64_bit_number_is_a_string_and_bytes_are_base64() -> None:
    assert SCHEMAS["SeedRange"]["properties"]["first"]["type"] == "string"
    assert SCHEMAS["Image"]["properties"]["data"]["contentEncoding"] == "base64"


@pytest.mark.stack
async def test_the_edge_serves_it_to_pages_of_any_origin(http: httpx.AsyncClient) -> None:
    answer = await http.get("/openapi.json")
    assert (answer.headers["content-type"], answer.headers["access-control-allow-origin"]) == ("application/json", "*")
    assert answer.json() == DOCUMENT


@pytest.mark.stack
@pytest.mark.parametrize(
    ("verb", "path", "request_", "status"),
    [
        ("get", "/v1/models", {}, 200),
        ("get", "/v1/models/{model}", {}, 200),
        ("get", "/v1/models/{model}/axes", {}, 200),
        ("get", "/v1/models/{model}:render", {"params": {"seed": "7"}}, 200),
        ("get", "/v1/models/{model}:render", {"params": {"quality": "101"}}, 400),
        ("get", "/v1/models/{model}:render", {"params": {"nothing": "1"}}, 400),
        ("get", "/v1/models/{model}/classes", {}, 200),
        ("post", "/v1/models/{model}:generate", {"json": {"seeds": {"first": str(2**64 - 1), "count": 2}}}, 200),
        ("post", "/v1/models/{model}:edit", {"json": {"sources": [{"seed": "7"}], "edit": {"locks": ["red"]}}}, 200),
        ("post", "/v1/models/{model}:streamGenerate", {"json": {"seeds": {"count": 3}}}, 200),
        ("post", "/v1/models/{model}:streamGenerate", {"json": {"seeds": {"count": -3}}}, 400),
    ],
)
async def test_answers_are_as_the_document_says(
    http: httpx.AsyncClient, verb: str, path: str, request_: dict[str, Any], status: int
) -> None:
    answer = await http.request(verb, path.format(model="paint"), **request_)
    assert answer.status_code == status
    schemathesis.openapi.from_dict(DOCUMENT)[path][verb].validate_response(answer)


@pytest.mark.stack
async def test_generated_requests_get_answers_that_the_document_foresees(edge: EdgeProcess) -> None:
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    for path, verb in ((path, verb) for path, verbs in DOCUMENT["paths"].items() for verb in verbs):
        await asyncio.to_thread(_try, schema[path][verb], f"http://{edge.address}")


def _try(operation: Any, url: str) -> None:
    # The same requests each time; the models' names are those of requests that go further than to NOT_FOUND.
    @settings(max_examples=5, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(), sampled_from(["paint", "meter"]))
    def ask(case: Any, model: str) -> None:
        if "model" in (case.path_parameters or {}):
            case.path_parameters["model"] = model
        answer = case.call(base_url=url)
        assert answer.status_code < 500, (operation.label, answer.content)
        operation.validate_response(answer)

    ask()
