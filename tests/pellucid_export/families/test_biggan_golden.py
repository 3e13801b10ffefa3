"""Every array that the official code gave for the checkpoints in tests/golden/biggan."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from pellucid.v1.model_pb2 import OFFICIAL_SAMPLER_TRUNCNORM
from pellucid_export import onnx, runtime
from pellucid_export.containers import checkpoints
from pellucid_export.families.biggan import FAMILY, Options
from pellucid_export.family import Network, Signature, Stage, Tensor
from pellucid_export.networks import spectral_norm
from pellucid_export.networks.biggan_deep import TruncationRows
from pellucid_export.runtime import Runner
from pellucid_export.samples import Array, Arrays

pytestmark = pytest.mark.torch

GOLDEN = Path(__file__).parents[2] / "golden" / "biggan"
DEEPMINDS = "hf_deep_32"
CASES = ("ajbrock_64", "ajbrock_cifar32", "ajbrock_deep_32", DEEPMINDS)


@dataclass(frozen=True)
class Case:
    """One folder: its arrays, what case.json says of them, its checkpoint."""

    arrays: Mapping[str, Array]
    facts: dict[str, Any]
    checkpoint: Path

    def names(self, *prefixes: str) -> list[str]:
        return [name for name in self.arrays if name.startswith(prefixes)]

    def assert_close(self, found: Array, name: str) -> None:
        allowed = self.facts["tolerance"]
        np.testing.assert_allclose(found, self.arrays[name], atol=allowed["atol"], rtol=allowed["rtol"], err_msg=name)


@cache
def case(name: str) -> Case:
    folder = GOLDEN / name
    facts = json.loads((folder / "case.json").read_text())
    with np.load(folder / "io.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return Case(arrays, facts, folder if name == DEEPMINDS else folder / facts["checkpoint"])


def inputs(name: str, array: str) -> Arrays:
    """What the official code was given for one of its images."""
    arrays = case(name).arrays
    count = len(arrays[array])
    if name == DEEPMINDS:
        labels = arrays["class_mix" if "classmix" in array else "class_onehot"]
        truncation = np.full((count, 1), float(array.rpartition("_t")[2]))
        return {"latent": arrays["z"][:count], "label": labels, "truncation": truncation}
    labels = np.eye(case(name).facts["config"]["n_classes"], dtype=np.float32)[arrays["y"]]
    if array == "image_shared_mix":
        labels = np.float32(0.4) * labels[:1] + np.float32(0.6) * labels[1:2]
    return {"latent": arrays["z"][:count], "label": labels}


@cache
def network(name: str, pixels: Any = "float32") -> Network:
    return FAMILY.load(case(name).checkpoint, Options(pixels))


@pytest.fixture(scope="module", params=["torch", "onnx"])
def runner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Runner]:
    """Opens a case's network, as it was loaded or as it was exported, each once."""

    @cache
    def opened(name: str) -> Runner:
        [stage] = network(name).stages
        if request.param == "torch":
            return runtime.reference(stage)
        directory = tmp_path_factory.mktemp(name)
        onnx.write(stage, directory / "model.onnx")
        return runtime.open_model(directory)

    return opened


@pytest.mark.parametrize("name", CASES)
def test_images_are_the_official_ones(runner: Callable[[str], Runner], name: str) -> None:
    run = runner(name)
    for array in case(name).names("image"):
        images = run(inputs(name, array))["image"]
        case(name).assert_close(images.transpose(0, 3, 1, 2), array)


def test_a_batch_of_mixed_truncations_gives_each_its_official_image(runner: Callable[[str], Runner]) -> None:
    run = runner(DEEPMINDS)
    names = case(DEEPMINDS).names("image_t")
    rows = [inputs(DEEPMINDS, array) for array in names]
    assert len(names) == 9
    for sample in range(3):
        batch = {key: np.concatenate([row[key][sample : sample + 1] for row in rows]) for key in rows[0]}
        for array, image in zip(names, run(batch)["image"], strict=True):
            allowed = case(DEEPMINDS).facts["tolerance"]
            expected = case(DEEPMINDS).arrays[array][sample].transpose(1, 2, 0)
            np.testing.assert_allclose(image, expected, allowed["rtol"], allowed["atol"])


@pytest.mark.parametrize("name", CASES)
def test_8_bit_images_are_within_a_level_of_the_official_ones(name: str) -> None:
    [stage] = network(name, "uint8").stages
    [array] = case(name).names("uint8")
    expected = case(name).arrays[array]
    expected = expected if name == DEEPMINDS else expected.transpose(0, 2, 3, 1)
    images = runtime.reference(stage)(inputs(name, array))["image"]
    assert images.dtype == np.uint8
    assert np.abs(images.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("name", CASES)
def test_every_layer_gives_what_the_official_one_does(name: str) -> None:
    [stage] = network(name).stages
    assert isinstance(stage.module, torch.nn.Module)
    found: dict[str, Array] = {}
    for array in case(name).names("act"):
        stage.module.get_submodule(layer_of(array)).register_forward_hook(
            lambda _module, _inputs, output, array=array: found.update({array: output[:1].numpy()})
        )
    images = "image_t1" if name == DEEPMINDS else "image"
    runtime.reference(stage)(inputs(name, images))
    assert sorted(found) == sorted(case(name).names("act"))
    for array, features in found.items():
        if array != "act_conv_to_rgb":
            case(name).assert_close(features, array)


def layer_of(array: str) -> str:
    """act_block2_1 is blocks.2.1; act_layers3 is generator.layers.3."""
    place = array.removeprefix("act_")
    if place.startswith("block"):
        return "blocks." + place.removeprefix("block").replace("_", ".")
    return "generator." + place.replace("layers", "layers.")


def test_the_last_layer_is_the_official_one_without_the_channels_that_nothing_reads() -> None:
    arrays = case(DEEPMINDS).arrays
    features = torch.from_numpy(arrays["act_bn"]).relu()
    state = spectral_norm.fold(checkpoints.load_state(case(DEEPMINDS).checkpoint / "pytorch_model.bin"))
    weight, bias = state["generator.conv_to_rgb.weight"], state["generator.conv_to_rgb.bias"]
    whole = torch.nn.functional.conv2d(features, weight, bias, padding=1)
    case(DEEPMINDS).assert_close(whole.numpy(), "act_conv_to_rgb")
    [stage] = network(DEEPMINDS).stages
    assert isinstance(stage.module, torch.nn.Module)
    with torch.inference_mode():
        used = stage.module.get_submodule("generator.conv_to_rgb")(features)
    np.testing.assert_allclose(used.numpy(), arrays["act_conv_to_rgb"][:, :3], 1e-4, 3e-5)


@pytest.mark.parametrize("name", ["ajbrock_64", "ajbrock_deep_32"])
def test_shared_embeddings_are_the_official_ones(name: str) -> None:
    [stage] = network(name).stages
    assert isinstance(stage.module, torch.nn.Module)
    labels = torch.from_numpy(inputs(name, "image")["label"])
    with torch.inference_mode():
        embedded = stage.module.get_submodule("shared")(labels)
    np.testing.assert_array_equal(embedded.numpy(), case(name).arrays["shared_y"])


@pytest.mark.parametrize("name", ["ajbrock_64", "ajbrock_cifar32", "ajbrock_deep_32"])
def test_spectral_norms_are_those_of_the_official_forward(name: str) -> None:
    stored = checkpoints.load_state(case(name).checkpoint)
    folded = spectral_norm.fold(stored)
    official = case(name).facts["sigma_used_by_official_forward"]
    assert {key.removesuffix(".u0") for key in stored if key.endswith(".u0")} == set(official)
    for layer, sigma in official.items():
        weight = stored[f"{layer}.weight"]
        largest = weight.abs().argmax()
        found = weight.flatten()[largest] / folded[f"{layer}.weight"].flatten()[largest]
        assert found.item() == pytest.approx(sigma, rel=1e-5), layer


@pytest.fixture(scope="module", params=["torch", "onnx"])
def rows(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    signature = Signature((Tensor("truncation", "float64", (1,), 0.02, 1.0),), (Tensor("rows", "float32", (51,)),))
    stage = Stage("rows", TruncationRows(51).eval(), signature)
    if request.param == "torch":
        return runtime.reference(stage)
    directory = tmp_path_factory.mktemp("rows")
    onnx.write(stage, directory / "model.onnx")
    return runtime.open_model(directory)


def test_the_tables_rows_have_the_official_weights_to_the_last_bit(rows: Runner) -> None:
    table = case(DEEPMINDS).arrays["truncation_table_64"]
    expected = np.zeros((len(table), 51), np.float32)
    for weights, (_, share, row) in zip(expected, table, strict=True):
        # A share of 0 is the row itself; any other, however small, is the row's own, and the next gets the rest.
        weights[int(row)] = share or 1
        if share:
            weights[int(row) + 1] = 1 - share
    np.testing.assert_array_equal(rows({"truncation": table[:, :1]})["rows"], expected)


def test_truncations_that_rounding_moves_to_the_next_row(rows: Runner) -> None:
    moved = {0.14: 8, 0.28: 15, 0.56: 29, 0.58: 28, 0.94: 46}
    truncations = np.arange(1, 51) / 50
    weights = rows({"truncation": truncations[:, None]})["rows"]
    expected = [moved.get(float(truncation), index) for index, truncation in enumerate(truncations, start=1)]
    assert weights.argmax(axis=1).tolist() == expected
    np.testing.assert_allclose(weights.sum(axis=1), 1)


def test_the_cards_sampler_and_truncation_give_the_official_noise() -> None:
    card = network(DEEPMINDS).card
    assert (card.latent.official_sampler, card.truncation.scales_prior) == (OFFICIAL_SAMPLER_TRUNCNORM, True)
    bound, generator = card.latent.truncation_bound, np.random.RandomState(7)
    drawn = stats.truncnorm.rvs(-bound, bound, size=(2, card.latent.size), random_state=generator)
    noise = case(DEEPMINDS).arrays["truncated_noise_sample_b2_d16_t0.5_seed7"]
    np.testing.assert_array_equal(np.float32(0.5) * drawn.astype(np.float32), noise)


def test_no_array_of_a_case_is_left_out() -> None:
    given = {"z", "y", "shared_y", "class_onehot", "class_mix"}
    others = {"truncation_table_64", "truncated_noise_sample_b2_d16_t0.5_seed7"}
    for name in CASES:
        assert set(case(name).arrays) - given - others == set(case(name).names("image", "uint8", "act"))
