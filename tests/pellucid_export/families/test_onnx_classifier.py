"""A user's own classifier; its network here adds up what it sees, so answers can be worked out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper, parser, save_model

from pellucid.v1.model_pb2 import LABEL_KIND_PROBABILITY, LABEL_KIND_QUANTITY
from pellucid_export import runtime
from pellucid_export.errors import CheckpointError
from pellucid_export.families import onnx_classifier
from pellucid_export.families.onnx_classifier import Options

pytestmark = pytest.mark.torch

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
MEANS = """
<ir_version: 10, opset_import: ["" : 18]>
means (float[n, 3, 4, 4] pixels) => (float[n, 3, 1, 1] means, float[n, 3] other) {
  means = GlobalAveragePool(pixels)
  other = Flatten<axis=1>(means)
}
"""
CONFIG = 'output = "means"\nimage = [4, 4]\nlabels = ["a", "b", "c"]\n'


def write(folder: Path, config: str, network: str = MEANS) -> Path:
    save_model(parser.parse_model(network), folder / "mine.onnx")
    (folder / "mine.toml").write_text(config)
    return folder / "mine.onnx"


def labels(path: Path, images: np.ndarray = IMAGES, options: Options | None = None) -> np.ndarray:
    (stage,) = onnx_classifier.load(path, options or Options()).stages
    return runtime.reference(stage)({"image": images})["labels"]


def test_the_network_sees_8_bit_values_unless_told_otherwise(tmp_path: Path) -> None:
    found = labels(write(tmp_path, CONFIG))
    np.testing.assert_allclose(found, IMAGES.mean(axis=(1, 2)), rtol=1e-5)


def test_mean_scale_and_colours_are_the_configurations(tmp_path: Path) -> None:
    path = write(tmp_path, CONFIG + 'mean = [1, 2, 3]\nscale = [0.5, 0.25, 0.1]\ncolour = "bgr"\n')
    expected = (IMAGES.mean(axis=(1, 2))[:, ::-1] - [1, 2, 3]) * [0.5, 0.25, 0.1]
    np.testing.assert_allclose(labels(path), expected, rtol=1e-5)


def test_larger_images_are_reduced_to_what_the_network_takes(tmp_path: Path) -> None:
    path = write(tmp_path, CONFIG.replace("[4, 4]", "[8, 16]"))
    flat = np.full((1, 8, 16, 3), [10, 20, 30], np.uint8)
    np.testing.assert_allclose(labels(path, flat), [[10, 20, 30]], rtol=1e-5)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("sigmoid", lambda u: 1 / (1 + np.exp(-u))),
        ("softmax", lambda u: np.exp(u) / np.exp(u).sum(axis=1, keepdims=True)),
        ("signed", lambda u: u),
    ],
)
def test_activations_are_applied_to_the_networks_output(
    tmp_path: Path, activation: str, expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    path = write(tmp_path, CONFIG + f'activation = "{activation}"\nmean = [127.5]\nscale = [0.02]\n')
    raw = (IMAGES.mean(axis=(1, 2)) - 127.5) * 0.02
    np.testing.assert_allclose(labels(path), expected(raw), rtol=1e-4, atol=1e-6)


def test_a_channels_last_grey_network_is_fed_its_way(tmp_path: Path) -> None:
    network = MEANS.replace("3, 4, 4] pixels", "4, 4, 1] pixels").replace(
        "GlobalAveragePool(pixels)", "Identity(pixels)"
    )
    network = network.replace("float[n, 3, 1, 1] means", "float[n, 4, 4, 1] means").replace(
        "[n, 3] other", "[n, 16] other"
    )
    names = ", ".join(f'"p{index}"' for index in range(16))
    path = write(
        tmp_path, f'output = "other"\nimage = [4, 4]\nlayout = "nhwc"\ncolour = "grey"\nlabels = [{names}]\n', network
    )
    np.testing.assert_allclose(labels(path), (IMAGES @ [0.299, 0.587, 0.114]).reshape(3, 16), rtol=1e-5)


def test_labels_say_what_they_are(tmp_path: Path) -> None:
    path = write(tmp_path, CONFIG.replace('"c"', '{ name = "c", kind = "quantity", unit = "years" }'))
    card = onnx_classifier.load(path, Options()).card
    assert [label.name for label in card.labels] == ["a", "b", "c"]
    assert [label.kind for label in card.labels] == [
        LABEL_KIND_PROBABILITY,
        LABEL_KIND_PROBABILITY,
        LABEL_KIND_QUANTITY,
    ]
    assert card.labels[2].unit == "years"


def test_labels_of_a_signed_network_are_quantities_and_may_be_celebas(tmp_path: Path) -> None:
    network = MEANS.replace("3, 4, 4]", "40, 4, 4]").replace("n, 3", "n, 40")
    network = network.replace("40, 4, 4] pixels", "3, 4, 4] pixels").replace(
        "Flatten<axis=1>(means)", "MatMul(flat, spread)"
    )
    network = network.replace("other =", "flat = Flatten<axis=1>(means) other =").replace("n, 40, 1, 1", "n, 3, 1, 1")
    model = parser.parse_model(network)
    model.graph.initializer.append(numpy_helper.from_array(np.ones((3, 40), np.float32), "spread"))
    save_model(model, tmp_path / "mine.onnx")
    (tmp_path / "mine.toml").write_text('output = "other"\nimage = [4, 4]\nactivation = "signed"\n')
    card = onnx_classifier.load(tmp_path / "mine.onnx", Options(labels="celeba40")).card
    assert (len(card.labels), card.labels[20].name, card.labels[39].name) == (40, "male", "young")
    assert {label.kind for label in card.labels} == {LABEL_KIND_QUANTITY}
    assert labels(tmp_path, options=Options(labels="celeba40")).shape == (3, 40)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (CONFIG + "colours = 3\n", "unknown key 'colours'"),
        (CONFIG + 'colour = "cmyk"\n', "colour must be one of rgb, bgr, grey, not 'cmyk'"),
        (CONFIG + "mean = [1, 2]\n", "mean must be a list of one number or three"),
        (CONFIG.replace("[4, 4]", "4"), r"image must be \[height, width\] in pixels, not 4"),
        (CONFIG.replace('"means"', '"scores"'), "one of means, other; given is 'scores'"),
        (CONFIG.replace('output = "means"\n', ""), "the output must be named"),
        (CONFIG.replace('["a", "b", "c"]', "[]"), "labels must be a list"),
        (CONFIG.replace('"c"', '{ kind = "quantity" }'), "must have a name"),
        ("labels = ", "mine.toml: "),
    ],
)
def test_mistakes_in_the_configuration_are_named(tmp_path: Path, config: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        onnx_classifier.load(write(tmp_path, config), Options())


def test_another_activation_is_another_digest(tmp_path: Path) -> None:
    digests = set()
    for activation in ("none", "sigmoid"):
        path = write(tmp_path, CONFIG + f'activation = "{activation}"\n')
        digests.add(onnx_classifier.load(path, Options()).weights_digest)
    assert len(digests) == 2
    assert onnx_classifier.load(path, Options()).weights_digest in digests


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"" : 18', '"" : 11', r"one opset from 13 on is needed, found \[11\]"),
        ("float[n, 3, 4, 4] pixels", "float[1, 3, 4, 4] pixels", "without a fixed length"),
        ("pixels) =>", "pixels, float[n] age) =>", r"one input is expected, it has \['pixels', 'age'\]"),
    ],
)
def test_networks_that_cannot_be_served_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        onnx_classifier.load(write(tmp_path, CONFIG, MEANS.replace(old, new)), Options())


@pytest.mark.parametrize(
    ("named", "message"),
    [('"a"', "gives 3 scores, 1 labels are named"), ('"a", "b"', "does not run as described, with 2 labels")],
)
def test_a_network_with_another_number_of_labels_is_refused(tmp_path: Path, named: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        onnx_classifier.load(write(tmp_path, CONFIG.replace('"a", "b", "c"', named)), Options())
