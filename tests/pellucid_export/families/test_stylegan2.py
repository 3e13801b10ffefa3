"""StyleGAN 2 beyond the official arrays: its declaration, its controls, its export."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from pellucid.v1.latent_pb2 import SPACE_W, SPACE_W_PLUS, SPACE_Z
from pellucid.v1.model_pb2 import DETERMINISM_UNSPECIFIED, OFFICIAL_SAMPLER_RANDN, TASK_GENERATE
from pellucid_export import exporter, runtime, source
from pellucid_export.containers import checkpoints
from pellucid_export.containers.checkpoints import State
from pellucid_export.containers.stylegan2_layout import Plan
from pellucid_export.errors import FamilyError
from pellucid_export.families.stylegan2 import FAMILY, Options
from pellucid_export.family import Network
from pellucid_export.form import Form, Format
from pellucid_export.networks.synthesis_stage import SynthesisStage
from pellucid_export.repository import Repository
from pellucid_export.samples import Array, Arrays
from tests.pellucid_export.families.test_stylegan2_golden import GOLDEN, case, controls, network
from tests.pellucid_export.published.stylegan2 import random_state, write_snapshot

pytestmark = pytest.mark.torch

SNAPSHOT = GOLDEN / "ada_64" / "network-snapshot-mini.pkl"
STATE_DICT = GOLDEN / "ada_64" / "G_ema_state_dict.pt"
NOISE_SIZES = (16, *(size * size for size in (8, 16, 32, 64) for _ in range(2)))
SMALL = Plan(latent=6, classes=3, embedding=4, hidden=5, depth=2, width=7, colours=1, widths=(8, 4))


def official_state(path: Path = STATE_DICT) -> State:
    return checkpoints.load_state(path)


def image(loaded: Network, inputs: Mapping[str, Array]) -> Array:
    return runtime.reference(loaded.stages[-1])(inputs)["image"]


def styles() -> Array:
    return case("ada_64").arrays["ws_trunc_off"]


def seeded(inputs: Arrays, noise: Array, share: float) -> Arrays:
    count = len(inputs["style"])
    shares = np.full((count, 1), share, np.float32)
    return {**inputs, "noise": np.broadcast_to(noise, (count, noise.shape[-1])).copy(), "noise_seeded": shares}


def saved(path: Path, state: State) -> Path:
    torch.save(state, path)
    return path


def test_the_card_says_what_can_be_controlled() -> None:
    card = FAMILY.load(SNAPSHOT, Options()).card
    assert (card.task, card.height, card.width) == (TASK_GENERATE, 64, 64)
    assert (card.latent.size, card.latent.official_sampler) == (32, OFFICIAL_SAMPLER_RANDN)
    spaces = [(space.space, space.size, space.layers) for space in card.spaces]
    assert spaces == [(SPACE_Z, 32, 1), (SPACE_W, 32, 1), (SPACE_W_PLUS, 32, 10)]
    truncation = card.truncation
    assert (truncation.min, truncation.max, truncation.default_value, truncation.scales_prior) == (-2, 2, 1, False)
    # The official cut-off None is all layers.
    assert (truncation.layers, truncation.default_cutoff) == (10, 10)
    assert card.style_layers.count == 10
    assert not card.HasField("classes")
    assert (card.noise.seeded, card.noise.size) == (False, 0)


def test_a_generator_with_classes_takes_a_label() -> None:
    loaded = network("ada_cond_32")
    assert list(loaded.card.classes.names) == [f"class_{index}" for index in range(5)]
    inputs = [(t.name, t.shape) for t in loaded.stages[0].signature.inputs]
    assert inputs == [("latent", (16,)), ("label", (5,))]


def test_a_blend_of_classes_is_the_embedding_of_the_blend() -> None:
    state = official_state(GOLDEN / "ada_cond_32" / "G_ema_state_dict.pt")
    weights = {name: value.double().numpy() for name, value in state.items()}
    latent = case("ada_cond_32").arrays["z"]
    label = np.array([[0.5, 0, 0.5, 0, 0], [0, 0.1, 0.2, 0.3, 0.4]], np.float32)

    def normalised(x: Array) -> Array:
        return x / np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-8)

    embedding = label @ weights["mapping.embed.weight"].T / np.sqrt(5) + weights["mapping.embed.bias"]
    x = np.concatenate([normalised(latent), normalised(embedding)], axis=1)
    for layer in ("fc0", "fc1"):
        weight, bias = weights[f"mapping.{layer}.weight"], weights[f"mapping.{layer}.bias"]
        x = 0.01 * (x @ weight.T / np.sqrt(weight.shape[1]) + bias)
        x = np.where(x > 0, x, 0.2 * x) * np.sqrt(2)
    found = runtime.reference(network("ada_cond_32").stages[0])({"latent": latent, "label": label})["style"]
    np.testing.assert_allclose(found, np.repeat(x[:, None], 8, axis=1), rtol=1e-5, atol=1e-6)


def test_every_row_of_a_batch_has_its_own_controls() -> None:
    style = np.concatenate([styles(), styles()])
    batch = {
        "style": style,
        "truncation": np.array([[-1.0], [0.0], [0.5], [1.5]], np.float32),
        "truncation_cutoff": np.array([[10], [3], [0], [6]]),
        "noise_strength": np.array([[0.0], [1.0], [0.5], [1.0]], np.float32),
    }
    together = image(network("ada_64"), batch)
    alone = [image(network("ada_64"), {name: values[[row]] for name, values in batch.items()}) for row in range(4)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-5)
    assert all(np.abs(together[row] - together[other]).max() > 0.1 for row in range(4) for other in range(row))


def test_a_truncation_of_0_gives_everybody_the_average_image() -> None:
    average = official_state()["mapping.w_avg"].numpy()
    expected = image(network("ada_64"), controls(np.tile(average, (1, 10, 1))))
    found = image(network("ada_64"), controls(styles(), truncation=0.0))
    np.testing.assert_allclose(found, np.repeat(expected, 2, axis=0), atol=1e-5)


def test_half_of_the_noise_lies_between_none_and_all_of_it() -> None:
    none, half, whole = (image(network("ada_64"), controls(styles(), noise=share)) for share in (0.0, 0.5, 1.0))
    assert 0 < np.abs(half - none).mean() < np.abs(whole - none).mean()


def test_seeded_noise_takes_the_place_of_the_trained_noise_layer_by_layer() -> None:
    loaded = FAMILY.load(SNAPSHOT, Options(pixels="float32", noise="seeded"))
    state = official_state()
    # In the order in which the layers run.
    layers = [f"synthesis.b{4 << block}.conv{conv}" for block in range(5) for conv in (0, 1) if block or conv]
    trained = np.concatenate([state[f"{layer}.noise_const"].flatten().numpy() for layer in layers])
    assert (loaded.card.noise.seeded, loaded.card.noise.size) == (True, sum(NOISE_SIZES))
    assert len(trained) == sum(NOISE_SIZES)
    baked = image(network("ada_64"), controls(styles()))
    other = np.random.default_rng(1).standard_normal(trained.shape, np.float32)
    np.testing.assert_allclose(image(loaded, seeded(controls(styles()), trained, 1.0)), baked, atol=1e-6)
    np.testing.assert_allclose(image(loaded, seeded(controls(styles()), other, 0.0)), baked, atol=1e-6)
    assert np.abs(image(loaded, seeded(controls(styles()), other, 1.0)) - baked).max() > 0.1


def test_rows_above_and_below_a_picture_can_be_cut_off() -> None:
    loaded = FAMILY.load(SNAPSHOT, Options(pixels="float32", height=48))
    assert (loaded.card.height, loaded.card.width) == (48, 64)
    whole = image(network("ada_64"), controls(styles()))
    np.testing.assert_array_equal(image(loaded, controls(styles())), whole[:, 8:56])


@pytest.mark.parametrize("height", [-2, 33, 66])
def test_a_height_must_be_even_and_within_the_image(height: int) -> None:
    with pytest.raises(FamilyError, match=f"height is {height}; 0 or an even number up to 64 is possible here"):
        FAMILY.load(SNAPSHOT, Options(height=height))


def test_the_bound_of_a_snapshot_holds_for_all_features(tmp_path: Path) -> None:
    state = official_state()
    write_snapshot(tmp_path / "bound.pkl", {"G_ema": state}, conv_clamp=0.5)
    bound, unbound = (FAMILY.load(path, Options(pixels="float32")) for path in (tmp_path / "bound.pkl", STATE_DICT))
    seen = []
    for block in cast(SynthesisStage, bound.stages[1].module).synthesis.blocks():
        block.register_forward_hook(lambda _block, _given, out: seen.append(out[0].abs().max().item()))
    found = image(bound, controls(styles()))
    assert seen == [0.5] * 5
    assert np.abs(found - image(unbound, controls(styles()))).max() > 0.01
    by_option = FAMILY.load(STATE_DICT, Options(pixels="float32", conv_clamp=0.5))
    np.testing.assert_array_equal(found, image(by_option, controls(styles())))


def test_the_digest_is_of_weights_and_bound_and_not_of_the_container() -> None:
    of_snapshot = FAMILY.load(SNAPSHOT, Options()).weights_digest
    assert FAMILY.load(STATE_DICT, Options(conv_clamp=256.0)).weights_digest == of_snapshot
    assert FAMILY.load(STATE_DICT, Options()).weights_digest != of_snapshot


@pytest.mark.parametrize(("format_", "noise"), [(Format.ONNX, "seeded"), (Format.TORCHSCRIPT, "baked")])
def test_both_stages_are_exported_with_free_batches(tmp_path: Path, format_: Format, noise: str) -> None:
    path = saved(tmp_path / "grey.pt", random_state(SMALL, seed=0))
    form = Form("stylegan2", source.digest(path), options={"noise": noise}, format=format_, max_batch_size=3)
    repository = Repository(tmp_path / "models")
    exported = exporter.export(repository, "grey", form, path)
    assert exported.version.parity.max_error <= 1
    assert exported.version.determinism != DETERMINISM_UNSPECIFIED
    mapping, synthesis = (runtime.open_model(repository.directory(model, 1)) for model in ("grey.mapping", "grey"))
    latent = np.random.default_rng(0).standard_normal((5, 6), np.float32)
    style = mapping({"latent": latent, "label": np.eye(5, 3, dtype=np.float32)})["style"]
    inputs = (
        controls(style) if noise == "baked" else seeded(controls(style), np.ones((1, 16 + 2 * 64), np.float32), 1.0)
    )
    pixels = synthesis(inputs)["image"]
    assert (pixels.shape, pixels.dtype) == ((5, 8, 8, 3), np.uint8)
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])
    assert len(np.unique(pixels, axis=0)) == 5
