import colorsys
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid_export.families import measurement
from pellucid_export.families.measurement import Options

pytestmark = pytest.mark.torch

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)


def measure(images: np.ndarray) -> dict[str, np.ndarray]:
    network = measurement.load(Path(), Options(height=images.shape[1], width=images.shape[2]))
    with torch.inference_mode():
        columns = network.stages[0].module(torch.from_numpy(images)).numpy().T
    return dict(zip([label.name for label in network.card.labels], columns, strict=True))


def test_brightness_and_contrast_are_mean_and_deviation_of_luma() -> None:
    luma = (IMAGES / 255 @ [0.299, 0.587, 0.114]).reshape(3, -1)
    found = measure(IMAGES)
    np.testing.assert_allclose(found["brightness"], luma.mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(found["contrast"], luma.std(axis=1), atol=1e-6)


def test_saturation_of_one_colour_is_that_of_hsv() -> None:
    colour = np.array([200, 50, 120], np.uint8)
    expected = colorsys.rgb_to_hsv(*colour / 255)[1]
    assert measure(np.tile(colour, (1, 4, 4, 1)))["saturation"] == pytest.approx(expected, abs=1e-6)


def test_warmth_is_red_minus_blue() -> None:
    expected = (IMAGES[..., 0].mean(axis=(1, 2)) - IMAGES[..., 2].mean(axis=(1, 2))) / 255
    np.testing.assert_allclose(measure(IMAGES)["warmth"], expected, atol=1e-6)


def test_black_and_white_are_the_ends_and_have_no_colour() -> None:
    found = measure(np.stack([np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)]))
    np.testing.assert_allclose(found["brightness"], [0, 1], atol=1e-6)
    for name in ("contrast", "saturation", "warmth"):
        np.testing.assert_allclose(found[name], 0, atol=1e-6)
