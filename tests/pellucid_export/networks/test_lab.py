"""Lab's values are those of scikit-image 0.26: rgb2lab and lab2rgb."""

from collections.abc import Iterable

import numpy as np
import pytest
import torch

from pellucid_export.networks import lab

pytestmark = pytest.mark.torch

LIGHTNESS = {
    (0, 0, 0): 0.0,
    (255, 255, 255): 100.0,
    (255, 0, 0): 53.2406,
    (12, 200, 99): 71.0669,
    (5, 3, 8): 1.0381,
    (128, 128, 128): 53.585,
}
COLOURS = {
    (0, 0, 0): (0.0, 0.0, 0.0),
    (50, 40, -80): (0.28245, 0.40289, 1.0),
    (90, -110, 110): (0.0, 1.0, 0.0),
    (3, 2, -4): (0.0451, 0.0383, 0.07278),
    (60, 110, -110): (0.84454, 0.0, 1.0),
    (100, 0, 0): (1.0, 1.0, 1.0),
}


def pixels(rows: Iterable[tuple[int, ...]]) -> torch.Tensor:
    """Colours as an image (1, C, 1, W)."""
    return torch.tensor(list(rows), dtype=torch.float32).T[None, :, None]


def test_lightness_is_scikit_images() -> None:
    found = lab.lightness(pixels(LIGHTNESS) / 255)[0, 0, 0]
    np.testing.assert_allclose(found.numpy(), list(LIGHTNESS.values()), atol=1e-4)


def test_colours_are_scikit_images_and_clipped_to_srgb() -> None:
    coloured = pixels(COLOURS)
    found = lab.to_rgb(coloured[:, :1], coloured[:, 1:])[0, :, 0].T
    np.testing.assert_allclose(found.numpy(), list(COLOURS.values()), atol=1e-4)


def test_greys_come_back_as_they_were() -> None:
    greys = torch.arange(256, dtype=torch.float32).expand(1, 3, 1, 256) / 255
    back = lab.to_rgb(lab.lightness(greys), torch.zeros(1, 2, 1, 256))
    assert (back * 255 - greys * 255).abs().max() < 0.05
