"""StarGAN against outputs of the official code (see case.json beside the arrays), from the official files."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pellucid_export import onnx, runtime
from pellucid_export.families import stargan
from pellucid_export.families.stargan import Options
from pellucid_export.family import Stage
from pellucid_export.runtime import Runner

pytestmark = pytest.mark.torch

GOLDEN = Path(__file__).parents[2] / "golden" / "stargan"
CLASSES = "angry,contemptuous,disgusted,fearful,happy,neutral,sad,surprised"
NAMES = {"celeba_c5": {}, "joint_c5_c8": {"classes": CLASSES}}
CASES = tuple(NAMES)

Array = npt.NDArray[Any]
Opener = Callable[..., Runner]


class Case:
    """A case's arrays and its network."""

    def __init__(self, name: str) -> None:
        self.about = json.loads((GOLDEN / name / "case.json").read_text())
        self.arrays = dict(np.load(GOLDEN / name / "io.npz"))
        # The official scaling of levels to [-1, 1] is undone: they are what the graph takes.
        self.source = np.rint((self.arrays["x"].transpose(0, 2, 3, 1) + 1) * 127.5).astype(np.uint8)

    def stage(self, pixels: Any) -> Stage:
        name = self.about["case"]
        options = Options(pixels=pixels, image_size=64, **NAMES[name])
        (stage,) = stargan.load(GOLDEN / name / "200000-G.ckpt", options).stages
        return stage

    def translated(self, run: Runner, target: int, rows: slice = slice(None)) -> Array:
        """Images (N, H, W, 3) of the sources for one of the official targets."""
        return run({"source": self.source[rows], "domain": self.arrays["c_trg"][target][rows]})["image"]


@cache
def case(name: str) -> Case:
    return Case(name)


@pytest.fixture(scope="module", params=["torch", "onnx"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opener:
    """Opens a case's network as it was loaded, or as it was exported; each once."""

    @cache
    def open_case(name: str, pixels: str = "float32") -> Runner:
        if request.param == "torch":
            return runtime.reference(case(name).stage(pixels))
        path = tmp_path_factory.mktemp("model") / "model.onnx"
        onnx.write(case(name).stage(pixels), path)
        return runtime.open_onnx(str(path))

    return open_case


@pytest.mark.parametrize("name", CASES)
def test_translations_to_every_target_are_the_official_ones(opened: Opener, name: str) -> None:
    arrays, tolerance = case(name).arrays, case(name).about["tolerance"]["y"]
    for target, expected in enumerate(arrays["y"]):
        found = case(name).translated(opened(name), target).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(found, expected, **tolerance, err_msg=case(name).about["targets"][target])
    assert len(arrays["y"]) == {"celeba_c5": 5, "joint_c5_c8": 13}[name]


@pytest.mark.parametrize("name", CASES)
def test_statistics_of_training_are_not_what_normalises(opened: Opener, name: str) -> None:
    found = case(name).translated(opened(name), 0).transpose(0, 3, 1, 2)
    assert np.abs(found - case(name).arrays["trap_y0_if_eval_called"]).mean() > 0.5


@pytest.mark.parametrize("name", CASES)
def test_served_images_side_by_side_are_the_official_strip_within_a_level(opened: Opener, name: str) -> None:
    run, targets = opened(name, "uint8"), range(len(case(name).arrays["c_trg"]))
    images = [case(name).source, *(case(name).translated(run, target) for target in targets)]
    strip = np.concatenate([np.concatenate(list(image)) for image in images], axis=1)
    official = case(name).arrays["grid_u8"]
    assert strip.dtype == np.uint8
    assert strip.shape == official.shape
    assert np.abs(strip.astype(int) - official).max() <= 1
    np.testing.assert_array_equal(strip[:, :64], official[:, :64])


def test_an_image_beside_another_is_what_it_is_alone(opened: Opener) -> None:
    both = case("celeba_c5")
    run = opened("celeba_c5")
    together = both.translated(run, 1)
    for row in range(2):
        alone = both.translated(run, 1, slice(row, row + 1))
        # Which kernels torch chooses depends on the size of a batch.
        np.testing.assert_allclose(alone, together[row : row + 1], atol=1e-5)
    assert np.abs(together[0] - together[1]).mean() > 0.1
