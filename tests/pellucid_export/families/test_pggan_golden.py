"""pg-GAN against outputs of the official code (see case.json beside the arrays), from the official files."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from pellucid_export import onnx, runtime
from pellucid_export.families import pggan
from pellucid_export.families.pggan import Options
from pellucid_export.family import Stage
from pellucid_export.runtime import Runner

pytestmark = pytest.mark.torch

GOLDEN = Path(__file__).parents[2] / "golden" / "pggan"
# Widths are all the same in the case with labels, so that its shapes say nothing of these two.
OPTIONS = {"genforce_label_16": {"classes": 4, "fused": "no"}}
CASES = ("genforce_64", "genforce_fused_32", "genforce_label_16", "interfacegan_32", "tf_pickle_32")
LEVELS = [
    (case, name)
    for case in CASES
    for name in json.loads((GOLDEN / case / "case.json").read_text())["arrays"]
    if name.startswith("image_lod_")
]

Array = npt.NDArray[np.generic]


class Case:
    """A case's arrays, and its network in torch and in ONNX Runtime."""

    def __init__(self, name: str) -> None:
        self.about = json.loads((GOLDEN / name / "case.json").read_text())
        self.arrays = dict(np.load(GOLDEN / name / "io.npz"))
        self.checkpoint = GOLDEN / name / self.about["checkpoint"]
        self.load = partial(Options, **OPTIONS.get(name, {}))

    def stage(self, **options: object) -> Stage:
        (stage,) = pggan.load(self.checkpoint, self.load(**options)).stages
        return stage

    def image(self, run: Runner, latent: str, rows: slice = slice(None)) -> Array:
        """Images (N, H, W, 3) of an array of latents."""
        inputs = {"latent": self.arrays[latent][rows]}
        if "label" in self.arrays:
            inputs["label"] = self.arrays["label"][rows]
        return run(inputs)["image"]

    def check(self, name: str, found: Array) -> None:
        """Assert that the array of this name was found, within the case's tolerance."""
        tolerance = self.about["tolerance"]
        assert found.shape == self.arrays[name].shape
        np.testing.assert_allclose(found, self.arrays[name], tolerance["rtol"], tolerance["atol"], err_msg=name)


def runner(stage: Stage, way: str, folder: Path) -> Runner:
    if way == "torch":
        return runtime.reference(stage)
    onnx.write(stage, folder / "model.onnx")
    return runtime.open_onnx(str(folder / "model.onnx"))


def planes(images: Array) -> Array:
    return images.transpose(0, 3, 1, 2)


@pytest.mark.parametrize("way", ["torch", "onnx"])
@pytest.mark.parametrize("name", CASES)
def test_images_are_the_official_ones_whatever_the_length_of_the_latent(name: str, way: str, tmp_path: Path) -> None:
    case = Case(name)
    run = runner(case.stage(pixels="float32"), way, tmp_path)
    expected = {"z": "image", "z_sphere": "image", "z_raw": "image_from_z_raw"}
    latents = [latent for latent in expected if latent in case.arrays]
    assert latents
    for latent in latents:
        case.check(expected[latent], planes(case.image(run, latent)))


@pytest.mark.parametrize(("name", "way"), [*((case, "torch") for case in CASES), ("genforce_64", "onnx")])
def test_served_images_are_within_one_level_of_the_official_ones(name: str, way: str, tmp_path: Path) -> None:
    case = Case(name)
    images = case.image(runner(case.stage(), way, tmp_path), "z" if "z" in case.arrays else "z_sphere")
    official = np.rint((case.arrays["image"].astype(np.float64) + 1) * 127.5).clip(0, 255)
    assert images.dtype == np.uint8
    assert np.abs(planes(images) - official).max() <= 1
    assert images.std() > 15


@pytest.mark.parametrize("way", ["torch", "onnx"])
@pytest.mark.parametrize(("name", "array"), LEVELS)
def test_unfinished_generators_give_the_official_images_of_full_size(
    name: str, array: str, way: str, tmp_path: Path
) -> None:
    case = Case(name)
    stage = case.stage(pixels="float32", lod=float(array.removeprefix("image_lod_")))
    case.check(array, planes(case.image(runner(stage, way, tmp_path), "z", slice(1))))


@pytest.mark.parametrize("name", [case for case in CASES if case.startswith("genforce")])
def test_every_layer_gives_what_the_official_one_gives(name: str) -> None:
    case = Case(name)
    generator = case.stage(pixels="float32").module
    assert isinstance(generator, nn.Module)
    found: dict[str, Array] = {}

    def keep(name: str, _module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        found[name] = output.numpy()

    parts = {array: array.split("_")[1] for array in case.arrays if array.startswith(("act_", "rgb_"))}
    for array, part in parts.items():
        generator.get_submodule(part).register_forward_hook(partial(keep, array))
    with torch.inference_mode():
        generator(*(torch.from_numpy(case.arrays[name][:1]) for name in ("z", "label") if name in case.arrays))
    assert len(found) == 5
    for array, values in found.items():
        case.check(array, values)


@pytest.mark.parametrize("name", [case for case in CASES if case.startswith("genforce")])
def test_only_a_file_without_averaged_weights_gives_the_last_ones(name: str, tmp_path: Path) -> None:
    case = Case(name)
    case.checkpoint = tmp_path / "without_average.pth"
    state = torch.load(GOLDEN / name / case.about["checkpoint"], weights_only=True)["generator"]
    torch.save({"generator": state}, case.checkpoint)
    run = runtime.reference(case.stage(pixels="float32"))
    case.check("image_from_key_generator", planes(case.image(run, "z", slice(1))))
    assert np.abs(case.arrays["image"][:1] - case.arrays["image_from_key_generator"]).max() > 0.1
