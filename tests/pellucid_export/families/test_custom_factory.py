"""A network that the user's own Python builds; here of a state dict, as training leaves it."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid.v1.model_pb2 import LABEL_KIND_PROBABILITY, TASK_CLASSIFY
from pellucid_export import exporter, runtime, source
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.families import custom
from pellucid_export.families.custom import Options
from pellucid_export.form import Form, Format
from pellucid_export.repository import Repository
from tests.pellucid_export.families.custom_toys import LATENTS, ONE_HOT, Painter, levels, painted

pytestmark = pytest.mark.torch

CARD = "latent: 2\nclasses: 3\ninputs: {latent: z, label: y}\n"
PROGRAM = """
import torch
from torch import nn
from tests.pellucid_export.families.custom_toys import Painter

def make(path):
    painter = Painter()
    painter.load_state_dict(torch.load(path, weights_only=True))
    return painter

class Second(nn.Module):
    # the second number of a picture, and its opposite

    def forward(self, picture):
        return picture.flatten(1)[:, 1:2] * torch.tensor([1.0, -1.0])

class Loose(nn.Module):
    def forward(self, *tensors):
        return tensors[0]

def classifier(path):
    return Second()

def loose(path):
    return Loose()

def text(path):
    return "a network"

def failing(path):
    raise KeyError("netG")

number = 4
"""

Write = Callable[[str], None]


@pytest.fixture
def write_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the module `somebodys` where Python finds it, anew each time."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(program: str) -> None:
        (tmp_path / "somebodys.py").write_text(program)
        sys.modules.pop("somebodys", None)

    write(PROGRAM)
    return write


@pytest.fixture
def weights(tmp_path: Path, write_program: Write) -> Path:
    torch.save(Painter().state_dict(), tmp_path / "mine.pth")
    (tmp_path / "mine.yaml").write_text(CARD)
    return tmp_path / "mine.pth"


@pytest.mark.parametrize("file_format", list(Format))
def test_a_factory_makes_the_network_of_any_file(weights: Path, repository: Repository, file_format: Format) -> None:
    options = {"factory": "somebodys:make"}
    form = Form("custom", source.digest(weights), options=options, format=file_format, max_batch_size=4)
    exported = exporter.export(repository, "mine", form, weights)
    given = {"latent": LATENTS, "label": ONE_HOT[[0, 1, 2, 1]]}
    images = runtime.open_model(exported.directory)(given)["image"]
    np.testing.assert_array_equal(images, levels(painted(given["latent"], given["label"])))
    assert list(repository.card("mine").stages[0].inputs) == ["latent", "label"]


def test_the_digest_knows_weights_and_program(weights: Path, write_program: Write) -> None:
    options = Options(factory="somebodys:make")
    digests = [custom.load(weights, options).weights_digest for _ in range(2)]
    write_program(PROGRAM + "# changed\n")
    digests.append(custom.load(weights, options).weights_digest)
    state = torch.load(weights, weights_only=True)
    torch.save({name: value + 1 for name, value in state.items()}, weights)
    digests.append(custom.load(weights, options).weights_digest)
    assert (digests[0] == digests[1], len(set(digests))) == (True, 3)


def sigmoid(value: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-value))


@pytest.mark.parametrize(
    ("activation", "expected"),
    [("none", lambda u: u), ("sigmoid", sigmoid), ("softmax", lambda u: sigmoid(2 * u))],
)
@pytest.mark.parametrize(("layout", "second"), [("nchw", (0, 1, 0)), ("nhwc", (0, 0, 1))])
def test_a_classifier_sees_images_in_its_range_and_layout(
    weights: Path,
    activation: str,
    expected: Callable[[np.ndarray], np.ndarray],
    layout: str,
    second: tuple[int, int, int],
) -> None:
    card = "task: classify\nheight: 2\nwidth: 3\nlabels: [bright, dark]\nrange: -1..1\n"
    weights.with_suffix(".yaml").write_text(f"{card}activation: {activation}\nlayout: {layout}\n")
    network = custom.load(weights, Options(factory="somebodys:classifier"))
    assert (network.card.task, network.card.labels[1].name) == (TASK_CLASSIFY, "dark")
    assert network.card.labels[0].kind == LABEL_KIND_PROBABILITY
    images = np.random.default_rng(0).integers(0, 256, (5, 2, 3, 3), dtype=np.uint8)
    labels = runtime.reference(network.stages[0])({"image": images})["labels"]
    seen = images[:, *second] / 127.5 - 1
    np.testing.assert_allclose(labels, expected(np.stack([seen, -seen], 1)), atol=1e-5)


def test_a_classifier_with_another_number_of_labels_is_refused(weights: Path) -> None:
    weights.with_suffix(".yaml").write_text("task: classify\nheight: 2\nwidth: 3\nlabels: [bright]\n")
    with pytest.raises(CheckpointError, match="the network gives 2 scores, the card has 1 labels"):
        custom.load(weights, Options(factory="somebodys:classifier"))


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("somebodys", "option 'factory' must be package.module:function, not 'somebodys'"),
        ("nobodys:make", r"nobodys cannot be imported \(No module named 'nobodys'\); install it, or put its folder on"),
        ("somebodys:absent", "somebodys has no function 'absent'"),
        ("somebodys:number", "somebodys has no function 'number'"),
    ],
)
def test_a_factory_that_cannot_be_found_is_told(weights: Path, factory: str, message: str) -> None:
    with pytest.raises(FamilyError, match=message):
        custom.load(weights, Options(factory=factory))


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("somebodys:text", "factory somebodys:text must give an nn.Module; it gave str"),
        ("somebodys:failing", "factory somebodys:failing failed on mine.pth: KeyError: 'netG'"),
        ("somebodys:loose", r"the network's forward must name its inputs, it takes \*args"),
    ],
)
def test_a_factory_that_gives_no_network_is_told(weights: Path, factory: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        custom.load(weights, Options(factory=factory))
