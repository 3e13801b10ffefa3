"""Every image that the official code gave for the checkpoints in tests/golden/cyclegan."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pellucid_export import onnx, runtime
from pellucid_export.families.cyclegan import FAMILY, Options
from pellucid_export.family import Length, Signature, Stage, Tensor
from pellucid_export.networks import generator_file
from pellucid_export.runtime import Runner
from pellucid_export.samples import Array

pytestmark = pytest.mark.torch

GOLDEN = Path(__file__).parents[2] / "golden"
PAIR, LEGACY = "resnet9_instance", "resnet6_legacy_running_stats"

KINDS = pytest.mark.parametrize("kind", ["torch", "onnx"])


@dataclass(frozen=True)
class Case:
    """One folder: its arrays, what case.json says of them."""

    folder: Path
    arrays: Mapping[str, npt.NDArray[np.float32]]
    facts: dict[str, Any]

    def assert_close(self, found: Array, name: str, tolerance: str) -> None:
        """Compare images (N, C, H, W)."""
        allowed = self.facts["tolerance"][tolerance]
        np.testing.assert_allclose(found, self.arrays[name], atol=allowed["atol"], rtol=allowed["rtol"], err_msg=name)

    def source(self, name: str) -> npt.NDArray[np.uint8]:
        """The 8-bit images (N, H, W, 3) that an array of network inputs was made of."""
        levels = (self.arrays[name].astype(np.float64) + 1) * 127.5
        assert np.abs(levels - levels.round()).max() < 1e-4
        return np.repeat(levels.round().astype(np.uint8).transpose(0, 2, 3, 1), 3 // levels.shape[1], axis=3)


@cache
def case(family: str, name: str) -> Case:
    folder = GOLDEN / family / name
    with np.load(folder / "io.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return Case(folder, arrays, json.loads((folder / "case.json").read_text()))


def levels_apart(found: Array, expected: Array) -> int:
    assert (found.dtype, found.shape) == (np.uint8, expected.shape)
    return int(np.abs(found.astype(int) - expected.astype(int)).max())


def opened(kind: str, stage: Stage, folder: Path) -> Runner:
    """A stage as it was loaded, or as it was exported."""
    if kind == "torch":
        return runtime.reference(stage)
    directory = folder / stage.role
    directory.mkdir()
    onnx.write(stage, directory / "model.onnx")
    return runtime.open_model(directory)


def bare(direction: str) -> Stage:
    """One of the pair's generators, which takes and gives numbers in [-1, 1]."""
    generator, _ = generator_file.read(case("cyclegan", PAIR).folder / f"latest_net_{direction}.pth", "image")
    shape = (3, Length("height", 4, 64), Length("width", 4, 64))
    return Stage(direction, generator, Signature((Tensor("x", "float32", shape),), (Tensor("y", "float32", shape),)))


@KINDS
@pytest.mark.parametrize(
    ("direction", "arrays"),
    [("G_A", {"real_A": "fake_B", "fake_A": "rec_B"}), ("G_B", {"fake_B": "rec_A", "real_B": "fake_A"})],
)
def test_there_and_back_is_as_the_official_code_has_it(
    kind: str, direction: str, arrays: dict[str, str], tmp_path: Path
) -> None:
    golden = case("cyclegan", PAIR)
    run = opened(kind, bare(direction), tmp_path)
    for before, after in arrays.items():
        golden.assert_close(run({"x": golden.arrays[before]})["y"], after, "images")


@KINDS
@pytest.mark.parametrize(("role", "before", "after"), [("a_to_b", "real_A", "fake_B"), ("b_to_a", "real_B", "fake_A")])
def test_the_folder_translates_8_bit_images_both_ways(
    kind: str, role: str, before: str, after: str, tmp_path: Path
) -> None:
    golden = case("cyclegan", PAIR)
    [stage] = [stage for stage in FAMILY.load(golden.folder, Options(pixels="float32")).stages if stage.role == role]
    image = opened(kind, stage, tmp_path)({"source": golden.source(before)})["image"]
    golden.assert_close(image.transpose(0, 3, 1, 2), after, "images")


def test_8_bit_translations_are_within_a_level_of_the_official_ones() -> None:
    golden = case("cyclegan", PAIR)
    to_a, to_b = (runtime.reference(stage) for stage in FAMILY.load(golden.folder, Options()).stages)
    there = to_b({"source": golden.source("real_A")})["image"]
    assert levels_apart(there, golden.arrays["fake_B_u8"][None]) <= 1
    # The way back starts from 8-bit pixels, not from the numbers before they were rounded.
    back = to_a({"source": there})["image"].transpose(0, 3, 1, 2) / 127.5 - 1
    assert np.abs(back - golden.arrays["rec_A"]).max() < 0.05


@KINDS
def test_old_files_give_the_official_image_whatever_statistics_they_tracked(kind: str, tmp_path: Path) -> None:
    golden = case("cyclegan", LEGACY)
    path = golden.folder / "latest_net_G.pth"
    state = torch.load(path, weights_only=True)
    tracked = [name for name in state if name.endswith(("running_mean", "running_var"))]
    assert len(tracked) == 2 * (5 + 2 * 6)
    for name in tracked:
        state[name] = state[name] * 3 + 1
    torch.save(state, tmp_path / "other.pth")
    network = FAMILY.load(path, Options(pixels="float32"))
    assert FAMILY.load(tmp_path / "other.pth", Options()).weights_digest == network.weights_digest
    [stage] = network.stages
    image = opened(kind, stage, tmp_path)({"source": golden.source("x")})["image"]
    golden.assert_close(image.transpose(0, 3, 1, 2), "y", "y")
