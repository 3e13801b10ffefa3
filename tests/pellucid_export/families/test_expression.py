"""The expression network against Keras itself; see golden/expression."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from pellucid_export import zoo
from pellucid_export.errors import CheckpointError
from pellucid_export.families import expression
from pellucid_export.families.expression import Options

pytestmark = pytest.mark.torch

Config = dict[str, Any]

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "expression" / "io.npz")


@pytest.fixture(scope="module")
def weights() -> Path:
    return zoo.fetch(zoo.ENTRIES["expression"])


def labels(path: Path, options: Options) -> np.ndarray:
    (stage,) = expression.load(path, options).stages
    with torch.inference_mode():
        return stage.module(torch.from_numpy(GOLDEN["image"])).numpy()


def test_one_view_gives_what_keras_gives(weights: Path) -> None:
    found = labels(weights, Options(mirrored=False))
    np.testing.assert_allclose(found, GOLDEN["probabilities"], rtol=0, atol=5e-6)


def test_by_default_a_face_and_its_mirror_image_are_averaged(weights: Path) -> None:
    expected = (GOLDEN["probabilities"] + GOLDEN["mirrored_probabilities"]) / 2
    found = labels(weights, Options())
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_one_view_and_two_have_different_digests(weights: Path) -> None:
    one, two = (expression.load(weights, Options(mirrored=mirrored)).weights_digest for mirrored in (False, True))
    assert one != two


def test_the_card_names_the_labels_in_the_networks_order(weights: Path) -> None:
    card = expression.load(weights, Options()).card
    assert [label.name for label in card.labels] == [
        "anger",
        "disgust",
        "fear",
        "happiness",
        "sadness",
        "surprise",
        "neutral",
    ]


def unknown_layer(config: Config) -> None:
    config["layers"][3]["class_name"] = "LeakyReLU"


def other_activation(config: Config) -> None:
    config["layers"][3]["config"]["activation"] = "tanh"


def dilated(config: Config) -> None:
    config["layers"][1]["config"]["dilation_rate"] = [2, 2]


def larger_input(config: Config) -> None:
    config["layers"][0]["config"]["batch_input_shape"] = [None, 48, 48, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (unknown_layer, "'activation_1' is a LeakyReLU"),
        (other_activation, "'activation_1' has the activation 'tanh'"),
        (dilated, r"'conv2d_1' has dilation_rate \[2, 2\]"),
        (larger_input, r"takes images \(48, 48, 1\)"),
    ],
)
def test_another_network_is_refused_by_what_differs(
    weights: Path, tmp_path: Path, change: Callable[[Config], None], message: str
) -> None:
    path = tmp_path / "other.hdf5"
    shutil.copy(weights, path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config["config"])
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(CheckpointError, match=message):
        expression.load(path, Options())


def test_a_file_that_is_no_keras_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.hdf5").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"x.hdf5: not a Keras network in HDF5"):
        expression.load(tmp_path / "x.hdf5", Options())
