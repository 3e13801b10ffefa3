import numpy as np
import pytest
import torch
from torch.nn import functional

from pellucid_export.networks import resampling

pytestmark = pytest.mark.torch


def test_the_whole_image_at_its_own_size_is_untouched() -> None:
    np.testing.assert_array_equal(resampling.matrix(8, 8, 0, 8), np.eye(8))


def test_exchanged_ends_mirror() -> None:
    np.testing.assert_array_equal(resampling.matrix(8, 8, 8, 0), np.eye(8)[::-1])
    np.testing.assert_allclose(resampling.matrix(8, 5, 6.5, 1), resampling.matrix(8, 5, 1, 6.5)[::-1], atol=1e-7)


@pytest.mark.parametrize(("source", "size"), [(64, 128), (64, 32), (64, 48), (5, 64)])
def test_a_change_of_size_is_torchs_antialiased_bilinear(source: int, size: int) -> None:
    signal = np.random.default_rng(0).standard_normal(source).astype(np.float32)
    image = torch.from_numpy(signal)[None, None, None].expand(1, 1, 1, source)
    expected = functional.interpolate(image, (1, size), mode="bilinear", antialias=True).numpy()[0, 0, 0]
    rows = resampling.matrix(source, size, 0, source)
    # Near the border torch drops what lies outside, here the last pixel is repeated.
    inside = slice(size // 8 + 1, -(size // 8 + 1))
    np.testing.assert_allclose((rows @ signal)[inside], expected[inside], atol=1e-5)


def test_beyond_the_border_the_last_pixel_is_repeated() -> None:
    rows = resampling.matrix(4, 4, 2, 6)
    np.testing.assert_array_equal(rows, [[0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]])


@pytest.mark.parametrize(("start", "end"), [(0, 64), (5.7, 60.2), (-3, 70), (60, 5), (0, 200)])
def test_every_row_sums_to_one(start: float, end: float) -> None:
    np.testing.assert_allclose(resampling.matrix(64, 32, start, end).sum(axis=1), 1, atol=1e-6)
