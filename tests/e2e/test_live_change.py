"""Versions and axes come, go and are reloaded while requests run, and no request fails."""

import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf import json_format
from onnx import helper
from safetensors import safe_open
from safetensors.numpy import save_file
from upath import UPath

from pellucid.v1 import axis_pb2, model_pb2, model_service_pb2, model_service_pb2_grpc
from pellucid_gateway import latents, traffic
from pellucid_gateway.errors import ModelUnavailable
from tests.e2e.embedded import Embedded, embedded
from tests.e2e.steady_load import SteadyLoad
from tests.pellucid_gateway.rpc.refusals import Refusal, refusal

pytestmark = pytest.mark.stack
RELOADS = 5
SEEDS = range(8)
NAME = "models/digiface"


@pytest.fixture
def own(repository: Path, tmp_path: Path) -> Path:
    """A repository that the test may change, with one version of digiface; the model's folder."""
    return Path(shutil.copytree(repository / "digiface", tmp_path / "repository" / "digiface"))


@pytest.fixture
async def pair(own: Path, tmp_path: Path) -> AsyncIterator[Embedded]:
    async with embedded(own.parent, tmp_path, 2) as started:
        yield started


@pytest.fixture
def load(pair: Embedded, own: Path) -> SteadyLoad:
    # Version 2 will give for each latent what version 1 gives for its opposite.
    return SteadyLoad(pair.address, NAME, {"1": pixels(own, 1), "2": pixels(own, -1)}, callers=2)


def pixels(folder: Path, sign: int) -> list[bytes]:
    session = onnxruntime.InferenceSession(str(folder / "1" / "model.onnx"))
    rows = [latents.draw(seed, latents.LATENT_STREAM, 100)[None] for seed in SEEDS]
    return [session.run(["image"], {"latent": np.float32(sign) * row})[0].tobytes() for row in rows]


def publish(folder: Path) -> None:
    """Add version 2, at once, as a publisher does; its axes are those of version 1, which do not fit it."""
    part = Path(shutil.copytree(folder / "1", folder / ".part"))
    graph = onnx.load(part / "model.onnx")
    for node in graph.graph.node:
        node.input[:] = ["opposite" if name == "latent" else name for name in node.input]
    graph.graph.node.insert(0, helper.make_node("Neg", ["latent"], ["opposite"]))
    onnx.save(graph, part / "model.onnx")
    told = json.loads((part / "version.json").read_text())
    (part / "version.json").write_text(json.dumps(told | {"name": "2", "weightsDigest": f"sha256:{'b' * 64}"}))
    part.rename(folder / "2")


def add_axes(folder: Path, name: str, weights: str | None) -> None:
    """Add a set with one axis of the set's name, fitted for the weights given, or the version's own."""
    source = folder / "1" / "axes" / "faces.safetensors"
    with safe_open(source, "numpy") as opened:
        axes = json_format.Parse(opened.metadata()["axis_set"], axis_pb2.AxisSet())
        directions = opened.get_tensor("directions")[:1]
    del axes.axes[1:]
    axes.name = axes.axes[0].name = name
    axes.weights_digest = weights or axes.weights_digest
    axes.axes[0].weights_digest = axes.weights_digest
    axes.axes[0].ClearField("entanglement")
    part = source.with_name(f".{name}")
    save_file({"directions": directions}, part, {"axis_set": json_format.MessageToJson(axes)})
    part.rename(source.with_name(f"{name}.safetensors"))


async def test_a_version_comes_gets_a_share_and_is_rolled_back_without_a_failed_request(
    pair: Embedded, own: Path, load: SteadyLoad
) -> None:
    async with load:
        await load.more(30)
        traffic.write(UPath(own.parent), "digiface", {"1": 1})
        publish(own)
        await pair.pool.load("digiface")
        await load.more(60)
        assert load.versions.keys() == {"1"}

        traffic.write(UPath(own.parent), "digiface", {"1": 50, "2": 50})
        await load.until(lambda: load.versions["2"] >= 20)
        traffic.write(UPath(own.parent), "digiface", {})
        await load.until(lambda: not card(pair).version_weights)
        before = load.versions["1"]
        await load.until(lambda: load.versions["2"] >= 60)
        assert load.versions["1"] - before <= 2  # those under way when it changed

        traffic.write(UPath(own.parent), "digiface", {"1": 1})
        await load.until(lambda: card(pair).default_version == "1")
        await load.more(2)
        shutil.rmtree(own / "2")
        await pair.pool.load("digiface")
        before = load.versions["2"]
        await load.more(60)
        assert load.versions["2"] == before
    assert load.failures == []
    assert load.answered == load.sent


def card(pair: Embedded) -> model_pb2.Model:
    return pair.gateway.catalog.find(NAME).card


async def test_a_version_that_only_one_replica_has_serves_who_names_it_and_is_no_default_yet(
    pair: Embedded, own: Path, load: SteadyLoad
) -> None:
    async with load:
        publish(own)
        await pair.load_on(0)
        await load.until(lambda: "2" in pair.gateway.catalog.find(NAME).versions)
        assert card(pair).default_version == "1"
        await load.more(30)
        assert load.versions.keys() == {"1"}
        await pair.pool.load("digiface")
        await load.until(lambda: load.versions["2"] >= 20)
    assert load.failures == []
    assert load.answered == load.sent


async def test_reloading_again_and_again_loses_no_request(
    pair: Embedded, own: Path, load: SteadyLoad, tmp_path: Path
) -> None:
    async with load:
        for _ in range(RELOADS):
            await load.more(20)
            os.utime(own / "1" / "model.onnx")  # what has not changed is not loaded again
            await pair.pool.load("digiface")
        await load.more(20)
    for log in (tmp_path / "triton-0.log", tmp_path / "triton-1.log"):
        assert log.read_text().count("successfully loaded 'digiface'") == 1 + RELOADS
    assert load.failures == []
    assert load.answered == load.sent


async def test_a_version_that_cannot_be_loaded_leaves_the_old_one_serving(
    pair: Embedded, own: Path, load: SteadyLoad
) -> None:
    async with load:
        await load.more(20)
        publish(own)
        (own / "2" / "model.onnx").write_bytes(b"not a network")
        with pytest.raises(ModelUnavailable, match=r"did not load it: .*version 2"):
            await pair.pool.load("digiface")
        await load.more(60)
    assert load.versions.keys() == {"1"}
    assert load.failures == []
    assert load.answered == load.sent


async def test_axes_appear_while_requests_run_and_those_of_other_weights_are_refused(
    pair: Embedded, own: Path, load: SteadyLoad
) -> None:
    async with load, grpc.aio.insecure_channel(pair.address) as channel:
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        await load.more(20)
        assert (await refused(models, "added")).code == grpc.StatusCode.NOT_FOUND
        add_axes(own, "added", None)
        add_axes(own, "foreign", f"sha256:{'c' * 64}")
        await load.until(lambda: "added" in pair.gateway.catalog.serving(NAME).axes.newest)
        answered = await models.GetAxis(model_service_pb2.GetAxisRequest(name=f"{NAME}/axes/added"))
        assert answered.axis.axis_set == "added"
        told = await refused(models, "foreign")
        assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "AXES_REFUSED")
        await load.more(20)
    assert load.failures == []
    assert load.answered == load.sent


async def refused(models: "model_service_pb2_grpc.ModelServiceAsyncStub", axis: str) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await models.GetAxis(model_service_pb2.GetAxisRequest(name=f"{NAME}/axes/{axis}"))
    return refusal(caught.value)
