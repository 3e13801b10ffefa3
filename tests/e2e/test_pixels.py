"""The same seed is the same picture, whatever stands between."""

import io
import json
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
from PIL import Image

from pellucid.v1 import model_pb2
from pellucid_client import Client
from pellucid_client.demo.stack import Stack
from pellucid_gateway import latents
from tests.e2e.conftest import START_TIMEOUT_S, GatewayProcess
from tests.pellucid_gateway.rpc.reflected import list_and_render

pytestmark = pytest.mark.stack
Generate = Callable[..., np.ndarray]


def pixels(client: Client, *seeds: int) -> np.ndarray:
    return np.stack([image.array() for image in client.generate("digiface", seeds=list(seeds), format="raw")])


def test_digiface_is_measured_exact(client: Client) -> None:
    model = client.model("digiface")
    [version] = [version for version in model.versions if version.name == model.default_version]
    assert version.determinism == model_pb2.DETERMINISM_EXACT


def test_a_seed_alone_and_in_a_batch_of_sixteen_gives_the_pixels_of_onnx_runtime(
    client: Client, generate: Generate
) -> None:
    seeds = list(range(100, 116))
    expected = generate(*seeds)
    np.testing.assert_array_equal(pixels(client, *seeds), expected)
    np.testing.assert_array_equal(pixels(client, 107), expected[7:8])


def test_a_seed_among_other_users_requests_gives_the_same_pixels(
    stack: Stack, client: Client, generate: Generate
) -> None:
    expected = generate(*range(40))
    with ThreadPoolExecutor(20) as users:
        found = list(users.map(lambda seed: pixels(client, seed)[0], range(40)))
    np.testing.assert_array_equal(np.stack(found), expected)


def test_two_gateways_give_the_same_pixels(client: Client, gateway: GatewayProcess) -> None:
    with Client(gateway.address) as other:
        np.testing.assert_array_equal(pixels(other, 5, 6, 7), pixels(client, 5, 6, 7))


def test_a_restart_gives_the_same_pixels(client: Client, repository: Path, tmp_path: Path) -> None:
    before = pixels(client, 5, 6, 7)
    again = Stack.of_repository(repository, tmp_path / "log", START_TIMEOUT_S)
    with again, Client(again.facts["gateway"]) as other:
        np.testing.assert_array_equal(pixels(other, 5, 6, 7), before)


def test_tritonclient_gets_the_values_of_onnx_runtime(stack: Stack, generate: Generate) -> None:
    latent = np.stack([latents.draw(seed, 0, 100) for seed in (1, 2, 3)])
    with triton.InferenceServerClient(stack.facts["triton_grpc"]) as direct:
        given = triton.InferInput("latent", latent.shape, "FP32")
        given.set_data_from_numpy(latent)
        np.testing.assert_array_equal(direct.infer("digiface", [given]).as_numpy("image"), generate(1, 2, 3))


def test_plain_http_as_curl_speaks_it_gets_the_values_of_onnx_runtime(stack: Stack, generate: Generate) -> None:
    latent = latents.draw(9, 0, 100)
    body = {"inputs": [{"name": "latent", "shape": [1, 100], "datatype": "FP32", "data": latent.tolist()}]}
    url = f"http://{stack.facts['triton_http']}/v2/models/digiface/infer"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answered:
        [output] = json.load(answered)["outputs"]
    assert output["shape"] == [1, 64, 64, 3]
    np.testing.assert_array_equal(np.array(output["data"], np.uint8).reshape(1, 64, 64, 3), generate(9))


def test_a_recipe_from_one_gateway_is_the_same_picture_at_another(client: Client, gateway: GatewayProcess) -> None:
    [face] = client.generate("digiface", seed=11, format="raw")
    [edited] = client.edit(face, {"happiness": 2}, locks=["masculine"], format="raw")
    with Client(gateway.address) as other:
        [again] = other.edit(edited.recipe, format="raw")
    np.testing.assert_array_equal(again.array(), edited.array())


def test_a_client_built_from_reflection_alone_lists_models_and_gets_a_face(stack: Stack, client: Client) -> None:
    names, data = list_and_render(stack.facts["gateway"], "models/digiface")
    assert "models/digiface" in names
    [face] = client.generate("digiface", seed=3)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), face.array())
