"""Every image that the official code gave for the checkpoints in tests/golden/pix2pix."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid_export import runtime
from pellucid_export.families.pix2pix import FAMILY, Options
from pellucid_export.family import Stage
from pellucid_export.networks import generator_file
from pellucid_export.networks.generator_file import Statistics
from pellucid_export.networks.pixels import Pixels
from tests.pellucid_export.families.test_cyclegan_golden import KINDS, Case, case, levels_apart, opened

pytestmark = pytest.mark.torch

UNET_256, UNET_128, RESNET_9 = "unet256_batch", "unet128_batch_gray_to_rgb", "resnet9_batch_dropout_keys"
CASES = (UNET_256, UNET_128, RESNET_9)
IMAGES: list[tuple[str, Statistics, str]] = [
    (UNET_256, "running", "y_eval"),
    (UNET_256, "image", "y_batchstats_nodropout"),
    (UNET_128, "running", "y_eval"),
    (UNET_128, "image", "y_batchstats_nodropout"),
    (RESNET_9, "running", "y_eval"),
]


def translator(golden: Case, statistics: Statistics, pixels: Pixels = "float32") -> Stage:
    size = golden.arrays["x"].shape[-1]
    [stage] = FAMILY.load(golden.folder / "latest_net_G.pth", Options(pixels, size, statistics)).stages
    return stage


@KINDS
@pytest.mark.parametrize(("name", "statistics", "array"), IMAGES)
def test_translations_are_the_official_ones(
    kind: str, name: str, statistics: Statistics, array: str, tmp_path: Path
) -> None:
    golden = case("pix2pix", name)
    image = opened(kind, translator(golden, statistics), tmp_path)({"source": golden.source("x")})["image"]
    golden.assert_close(image.transpose(0, 3, 1, 2), array, "y")


def test_all_arrays_with_translations_are_compared() -> None:
    for name in CASES:
        arrays = {array for array in case("pix2pix", name).arrays if array.startswith("y_")}
        assert arrays == {array for other, _, array in IMAGES if other == name} | {"y_eval_u8"}


@pytest.mark.parametrize(("name", "statistics", "array"), IMAGES)
def test_generators_take_the_official_inputs_as_they_are(name: str, statistics: Statistics, array: str) -> None:
    golden = case("pix2pix", name)
    generator, _ = generator_file.read(golden.folder / "latest_net_G.pth", statistics)
    with torch.inference_mode():
        golden.assert_close(generator(torch.from_numpy(golden.arrays["x"])).numpy(), array, "y")


@pytest.mark.parametrize("name", CASES)
def test_8_bit_translations_are_within_a_level_of_the_official_ones(name: str) -> None:
    golden = case("pix2pix", name)
    run = runtime.reference(translator(golden, "running", "uint8"))
    assert levels_apart(run({"source": golden.source("x")})["image"], golden.arrays["y_eval_u8"][None]) <= 1


def test_the_statistics_change_the_image_visibly() -> None:
    for name in CASES:
        golden = case("pix2pix", name)
        source = {"source": golden.source("x")}
        of_image, of_training = (runtime.reference(translator(golden, kind))(source) for kind in ("image", "running"))
        assert np.abs(of_image["image"] - of_training["image"]).mean() > 0.05
