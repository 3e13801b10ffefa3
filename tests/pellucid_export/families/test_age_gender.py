"""The joined graph against the original networks, run one by one on images prepared in numpy."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from pellucid_export import runtime, zoo
from pellucid_export.errors import CheckpointError
from pellucid_export.families import age_gender
from pellucid_export.families.age_gender import Options

pytestmark = pytest.mark.torch

FACES = np.load(Path(__file__).parents[2] / "golden" / "expression" / "io.npz")["image"]
MEAN = np.array([122.781998, 117.000999, 104.297997])


@pytest.fixture(scope="module")
def folder() -> Path:
    return zoo.fetch(zoo.ENTRIES["age_gender"])


def labels(folder: Path) -> np.ndarray:
    (stage,) = age_gender.load(folder, Options()).stages
    return runtime.reference(stage)({"image": FACES})["labels"]


def probabilities(file: Path, chips: np.ndarray) -> np.ndarray:
    """The original network's answer for float RGB chips (N, H, W, 3) of 8-bit values."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    planes = ((chips - MEAN) / 256).transpose(0, 3, 1, 2).astype(np.float32)
    return session.run(None, {"images": planes})[0].astype(np.float64)


def crop(images: np.ndarray, box: tuple[float, float, float, float], size: int) -> np.ndarray:
    """Bilinear samples at the centres of size x size cells of a box no larger than `size`; the border is repeated."""
    left, top, right, bottom = box
    for axis, (start, end) in ((1, (top, bottom)), (2, (left, right))):
        centres = start + (np.arange(size) + 0.5) * (end - start) / size - 0.5
        low = np.floor(centres).astype(int)
        share = (centres - low).reshape([-1 if axis == a else 1 for a in range(4)])
        last = images.shape[axis] - 1
        first, second = (np.take(images, np.clip(low + step, 0, last), axis) for step in (0, 1))
        images = first * (1 - share) + second * share
    return images


def halved(images: np.ndarray) -> np.ndarray:
    """64 pixels to 32, each of four weighted 1, 3, 3, 1: a triangle as wide as the new pixels."""
    for axis in (1, 2):
        padded = np.pad(images, [(1, 1) if axis == a else (0, 0) for a in range(4)], mode="edge")
        parts = [np.take(padded, np.arange(32) * 2 + offset, axis) for offset in range(4)]
        images = (parts[0] + 3 * parts[1] + 3 * parts[2] + parts[3]) / 8
    return images


def test_age_is_the_expected_age_of_the_original_network_over_two_crops(folder: Path) -> None:
    years = np.arange(81.0)
    years[0] = 0.25
    pixels = FACES.astype(np.float64)
    views = (crop(pixels, (5.75, 15.6, 60.6, 70.5), 64), crop(pixels, (1.6, 8.5, 64.7, 71.6), 64)[:, :, ::-1])
    expected = np.mean([probabilities(folder / "age-v1.onnx", view) @ years for view in views], axis=0)
    np.testing.assert_allclose(labels(folder)[:, 0], expected, rtol=0, atol=2e-3)
    assert expected.std() > 3


def test_masculine_is_the_original_networks_probability_averaged_in_log_odds(folder: Path) -> None:
    pixels = FACES.astype(np.float64)
    odds = []
    for view in (pixels, pixels[:, :, ::-1]):
        female, male = probabilities(folder / "gender-v1.onnx", halved(view)).T
        odds.append(np.log(np.maximum(male, 1e-6)) - np.log(np.maximum(female, 1e-6)))
    expected = 1 / (1 + np.exp(-np.mean(odds, axis=0)))
    np.testing.assert_allclose(labels(folder)[:, 1], expected, rtol=0, atol=1e-4)


def test_the_card_says_years_and_a_probability(folder: Path) -> None:
    card = age_gender.load(folder, Options()).card
    assert [(label.name, label.unit) for label in card.labels] == [("age", "years"), ("masculine", "")]
    assert (card.height, card.width) == (64, 64)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"a folder with age-v1.onnx and gender-v1.onnx"):
        age_gender.load(tmp_path / "age-v1.onnx", Options())
    (tmp_path / "age-v1.onnx").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"age-v1.onnx: not a readable ONNX file"):
        age_gender.load(tmp_path, Options())
