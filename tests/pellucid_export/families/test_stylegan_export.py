"""StyleGAN's two stages as they are served."""

from pathlib import Path

import numpy as np
import pytest

from pellucid.v1.latent_pb2 import SPACE_W, SPACE_W_PLUS, SPACE_Z
from pellucid.v1.model_pb2 import (
    OFFICIAL_SAMPLER_RANDN,
    PRIOR_NORMAL,
    PRIOR_SPHERE,
    TASK_GENERATE,
    LatentPrior,
    LatentSpace,
    NoiseInput,
    TruncationRange,
)
from pellucid_export import exporter, runtime, source
from pellucid_export.families import stylegan
from pellucid_export.families.stylegan import Options, Plan
from pellucid_export.form import Form, Format
from pellucid_export.repository import Repository
from pellucid_export.samples import Arrays
from tests.pellucid_export.families.test_pggan import genforce_file
from tests.pellucid_export.published.stylegan import weights

pytestmark = pytest.mark.torch

PLAN = Plan(mapping=(6, 5, 7), classes=0, channels=(4, 3, 3), colours=3)
LAYERS, NOISE = 6, 2 * (16 + 64 + 256)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return genforce_file(tmp_path_factory.mktemp("stylegan"), weights(PLAN))


def test_the_card_tells_the_controls(checkpoint: Path) -> None:
    card = stylegan.load(checkpoint, Options()).card
    assert (card.task, card.height, card.width) == (TASK_GENERATE, 16, 16)
    assert card.latent == LatentPrior(size=6, prior=PRIOR_SPHERE, official_sampler=OFFICIAL_SAMPLER_RANDN)
    assert list(card.spaces) == [
        LatentSpace(space=SPACE_Z, size=6, layers=1),
        LatentSpace(space=SPACE_W, size=7, layers=1),
        LatentSpace(space=SPACE_W_PLUS, size=7, layers=LAYERS),
    ]
    assert card.truncation == TruncationRange(min=-2, max=2, default_value=0.7, layers=LAYERS, default_cutoff=LAYERS)
    assert card.style_layers.count == LAYERS
    assert card.noise == NoiseInput(seeded=False)
    assert not card.HasField("classes")


def test_a_card_with_classes_keeps_the_latents_length(tmp_path: Path) -> None:
    state = weights(Plan(mapping=(12, 5, 7), classes=4, channels=(4, 3), colours=3))
    network = stylegan.load(genforce_file(tmp_path, state), Options())
    assert (network.card.latent.size, network.card.latent.prior) == (6, PRIOR_NORMAL)
    assert [tensor.name for tensor in network.stages[0].signature.inputs] == ["latent", "label"]


def test_seeded_noise_adds_two_inputs(checkpoint: Path) -> None:
    baked, seeded = (stylegan.load(checkpoint, Options(noise=noise)) for noise in ("baked", "seeded"))
    names = ["style", "truncation", "truncation_cutoff", "noise_strength"]
    assert [tensor.name for tensor in baked.stages[1].signature.inputs] == names
    assert [tensor.name for tensor in seeded.stages[1].signature.inputs] == [*names, "noise", "noise_seeded"]
    assert seeded.stages[1].signature.inputs[4].shape == (NOISE,)
    assert seeded.card.noise == NoiseInput(seeded=True, size=NOISE)


@pytest.mark.parametrize("form", [Format.ONNX, Format.TORCHSCRIPT])
def test_samples_of_different_truncation_mix_and_noise_share_a_batch(
    form: Format, checkpoint: Path, tmp_path: Path
) -> None:
    repository = Repository(tmp_path / "models")
    asked = Form("stylegan", source.digest(checkpoint), options={"noise": "seeded"}, format=form, max_batch_size=4)
    exported = exporter.export(repository, "tiny", asked, checkpoint)
    assert exported.version.parity.max_error <= 1
    stages = [(stage.role, stage.model) for stage in repository.card("tiny").stages]
    assert stages == [("mapping", "tiny.mapping"), ("synthesis", "tiny")]
    mapping = runtime.open_model(repository.directory("tiny.mapping", 1))
    synthesis = runtime.open_model(exported.directory)
    latent = np.random.default_rng(0).standard_normal((4, 6), dtype=np.float32)
    inputs = controls(mapping({"latent": latent})["style"])
    batch = synthesis(inputs)["image"].astype(int)
    for row in range(4):
        alone = synthesis({name: value[row : row + 1] for name, value in inputs.items()})["image"]
        assert np.abs(batch[row] - alone[0]).max() <= 1
    expected = runtime.reference(stylegan.load(checkpoint, Options(noise="seeded")).stages[1])(inputs)["image"]
    assert np.abs(batch - expected).max() <= 1
    assert min(np.abs(batch[row] - batch[row - 1]).max() for row in range(4)) > 20


def controls(style: np.ndarray) -> Arrays:
    """Each sample mixes its neighbour's style in, from another layer on, and has controls of its own."""
    rows = range(len(style))
    return {
        "style": np.stack([np.concatenate([style[row, : row + 1], style[row - 1, row + 1 :]]) for row in rows]),
        "truncation": np.array([[-0.5], [0.7], [1], [1.5]], np.float32),
        "truncation_cutoff": np.array([[2], [LAYERS], [0], [4]]),
        "noise_strength": np.array([[0], [1], [0.5], [1]], np.float32),
        "noise": np.random.default_rng(1).standard_normal((len(style), NOISE), dtype=np.float32),
        "noise_seeded": np.array([[0], [1], [1], [0]], np.float32),
    }
