"""pix2pixHD against outputs of the official code (see case.json beside the arrays), from the official files."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from pellucid_export import onnx, runtime
from pellucid_export.families import pix2pixhd
from pellucid_export.families.pix2pixhd import Options, SceneTranslator
from pellucid_export.family import Network, Signature, Stage, Tensor
from pellucid_export.networks.colours import signed
from pellucid_export.networks.feature_encoder import FeatureEncoder
from pellucid_export.networks.scene_planes import MAX_INSTANCES
from pellucid_export.runtime import Runner

pytestmark = pytest.mark.torch

GOLDEN = Path(__file__).parents[2] / "golden" / "pix2pixhd"
SCENES = ("global_label_inst", "local_inst_edge")
FEATURES, COLOURS = "global_feat_encoder", "global_rgb_noinst"
# Generators of these alone are read from the file, the others from their folder.
FILES = {COLOURS: "latest_net_G.pth", "global_label_inst": "latest_net_G.pth"}

Array = npt.NDArray[Any]
Opener = Callable[[str, Stage], Runner]


class Case:
    """A case's arrays, its inputs as the gateway gives them, and its network."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.about = json.loads((GOLDEN / name / "case.json").read_text())
        self.arrays = dict(np.load(GOLDEN / name / "io.npz"))

    def network(self, pixels: Any = "float32") -> Network:
        height, width = self.arrays["label"].shape[2:]
        path = GOLDEN / self.name / FILES.get(self.name, "")
        return pix2pixhd.load(path, Options(pixels=pixels, height=height, width=width))

    def scene(self) -> dict[str, Array]:
        """Labels, and instances numbered from 0 on without gaps in ascending order."""
        instances = self.arrays["inst"]
        rows = np.unique(instances, return_inverse=True)[1].reshape(instances.shape)
        return {"label_map": self.arrays["label"][:, 0], "instance_map": rows[:, 0].astype(np.int32)}

    def levels(self, array: str) -> Array:
        """An image in [-1, 1] as levels (N, H, W, 3)."""
        return np.rint((self.arrays[array].transpose(0, 2, 3, 1) + 1) * 127.5).astype(np.uint8)

    def features(self, array: str) -> Array:
        """What each instance has in an array (1, F, H, W) of painted features."""
        rows = self.scene()["instance_map"][0]
        features = np.zeros((1, MAX_INSTANCES, 3), np.float32)
        for row in range(rows.max() + 1):
            features[0, row] = self.arrays[array][0][:, rows == row][:, 0]
        return features

    def check(self, found: Array, array: str, tolerance: str = "y") -> None:
        """Assert that images (N, H, W, C) are those of an array (N, C, H, W)."""
        np.testing.assert_allclose(
            found.transpose(0, 3, 1, 2), self.arrays[array], **self.about["tolerance"][tolerance], err_msg=array
        )


class Planes(nn.Module):
    """What a generator sees of a scene."""

    def __init__(self, translator: SceneTranslator) -> None:
        super().__init__()
        self.translator = translator

    def forward(
        self, label_map: torch.Tensor, instance_map: torch.Tensor, features: torch.Tensor | None = None
    ) -> torch.Tensor:
        return self.translator.seen(label_map, instance_map, features)


class Unpooled(nn.Module):
    """What an encoder gives for every pixel."""

    def __init__(self, encoder: FeatureEncoder) -> None:
        super().__init__()
        self.model = encoder.model

    def forward(self, source: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = self.model(signed(source))
        return values


def planes(name: str) -> Stage:
    stage = case(name).network().stages[-1]
    module = Planes(cast(SceneTranslator, stage.module))
    return Stage("planes", module.eval(), Signature(stage.signature.inputs, (Tensor("planes", "float32", ()),)))


@cache
def case(name: str) -> Case:
    return Case(name)


@pytest.fixture(scope="module", params=["torch", "onnx"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opener:
    """Opens a stage as it was loaded, or as it was exported; each once."""
    known: dict[tuple[str, str, str], Runner] = {}

    def open_stage(name: str, stage: Stage) -> Runner:
        if request.param == "torch":
            return runtime.reference(stage)
        key = name, stage.role, stage.signature.outputs[0].dtype
        if key not in known:
            path = tmp_path_factory.mktemp("model") / "model.onnx"
            onnx.write(stage, path)
            known[key] = runtime.open_onnx(str(path))
        return known[key]

    return open_stage


@pytest.mark.parametrize("name", SCENES)
def test_photographs_of_scenes_are_the_official_ones(opened: Opener, name: str) -> None:
    run = opened(name, case(name).network().stages[-1])
    case(name).check(run(case(name).scene())["image"], "y")


def test_translations_of_images_are_the_official_ones(opened: Opener) -> None:
    run = opened(COLOURS, case(COLOURS).network().stages[-1])
    case(COLOURS).check(run({"source": case(COLOURS).levels("label")})["image"], "y")


@pytest.mark.parametrize("name", [*SCENES, FEATURES])
def test_planes_are_the_official_ones_to_the_bit(opened: Opener, name: str) -> None:
    inputs, expected = case(name).scene(), case(name).arrays["net_input"]
    if name == FEATURES:
        inputs["features"] = case(name).features("feat_sampled_seed0")
        expected = np.concatenate([expected, case(name).arrays["feat_sampled_seed0"]], axis=1)
    found = opened(name, planes(name))(inputs)["planes"]
    labels = case(name).about["config"]["label_nc"]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found[:, labels : labels + 1], case(name).arrays["edge"])


def test_features_before_pooling_are_the_official_ones(opened: Opener) -> None:
    stage = case(FEATURES).network().stages[0]
    values = Tensor("values", "float32", ())
    unpooled = Stage(
        "values", Unpooled(cast(FeatureEncoder, stage.module)).eval(), Signature(stage.signature.inputs[:1], (values,))
    )
    found = opened(FEATURES, unpooled)({"source": case(FEATURES).levels("image")})["values"]
    case(FEATURES).check(found.transpose(0, 2, 3, 1), "feat_before_pooling", "feat")


def test_features_of_instances_in_a_photograph_and_what_is_painted_with_them_are_the_official_ones(
    opened: Opener,
) -> None:
    encoder, generator = (opened(FEATURES, stage) for stage in case(FEATURES).network().stages)
    scene, official = case(FEATURES).scene(), case(FEATURES).arrays
    features = encoder({"source": case(FEATURES).levels("image"), "instance_map": scene["instance_map"]})["features"]
    case(FEATURES).check(features[0][scene["instance_map"]], "feat_encoded", "feat")
    count = len(official["encode_features_rows"])
    np.testing.assert_allclose(features[0, :count], official["encode_features_rows"][:, 1:4], atol=1e-4)
    assert not features[0, count:].any()
    case(FEATURES).check(generator({**scene, "features": features})["image"], "y_encoded")


def test_what_is_painted_with_sampled_features_is_the_official_photograph(opened: Opener) -> None:
    run = opened(FEATURES, case(FEATURES).network().stages[-1])
    inputs = {**case(FEATURES).scene(), "features": case(FEATURES).features("feat_sampled_seed0")}
    case(FEATURES).check(run(inputs)["image"], "y_sampled_seed0")


def test_sampled_features_are_clusters_of_their_labels() -> None:
    clusters = json.loads(case(FEATURES).network().assets[pix2pixhd.CLUSTERS])
    scene, features = case(FEATURES).scene(), case(FEATURES).features("feat_sampled_seed0")[0]
    # The official draws after np.random.seed(0): one for each instance, in ascending order.
    draws = np.random.RandomState(0)
    for row in range(scene["instance_map"].max() + 1):
        label = scene["label_map"][scene["instance_map"] == row][0]
        chosen = clusters[str(label)]
        np.testing.assert_array_equal(features[row], np.float32(chosen[draws.randint(0, len(chosen))]))


@pytest.mark.parametrize("name", [*SCENES, FEATURES, COLOURS])
def test_served_photographs_are_within_one_level_of_the_official_ones(name: str) -> None:
    *encoders, generator = case(name).network("uint8").stages
    inputs = {"source": case(name).levels("label")} if name == COLOURS else case(name).scene()
    if encoders:
        inputs["features"] = case(name).features("feat_encoded")
    found = runtime.reference(generator)(inputs)["image"][0]
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - case(name).arrays["y_u8"]).max() <= 1


def test_a_served_photograph_of_the_exported_graph_is_within_one_level_of_the_official_one(tmp_path: Path) -> None:
    onnx.write(case("local_inst_edge").network("uint8").stages[-1], tmp_path / "model.onnx")
    found = runtime.open_onnx(str(tmp_path / "model.onnx"))(case("local_inst_edge").scene())["image"][0]
    assert np.abs(found.astype(int) - case("local_inst_edge").arrays["y_u8"]).max() <= 1


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_beside_another_is_what_it_is_alone(opened: Opener, name: str) -> None:
    run, one = opened(name, case(name).network().stages[-1]), case(name).scene()
    other = {key: value[:, ::-1, ::-1] for key, value in one.items()}
    together = run({key: np.concatenate([one[key], other[key]]) for key in one})["image"]
    for row, scene in enumerate((one, other)):
        alone = run({key: np.ascontiguousarray(value) for key, value in scene.items()})["image"]
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)
    assert np.abs(together[0] - together[1]).mean() > 0.1


def test_measured_and_painted_features_of_a_scene_beside_another_are_what_they_are_alone(opened: Opener) -> None:
    encoder, generator = (opened(FEATURES, stage) for stage in case(FEATURES).network().stages)
    scene = {"source": case(FEATURES).levels("image"), **case(FEATURES).scene()}
    both = {key: np.concatenate([value, value[:, ::-1]]) for key, value in scene.items()}
    features = encoder({key: both[key] for key in ("source", "instance_map")})["features"]
    images = generator({"features": features, **{key: both[key] for key in ("label_map", "instance_map")}})["image"]
    case(FEATURES).check(images[:1], "y_encoded")
    np.testing.assert_allclose(features[0, :15], case(FEATURES).arrays["encode_features_rows"][:, 1:4], atol=1e-4)
    assert np.abs(features[0] - features[1]).max() > 0.01
    assert np.abs(images[0] - images[1]).mean() > 0.1
