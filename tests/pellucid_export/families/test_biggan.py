"""What a BigGAN's model offers, on small networks with random weights of the published proportions."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid.v1.latent_pb2 import SPACE_Z
from pellucid.v1.model_pb2 import (
    OFFICIAL_SAMPLER_TRUNCNORM,
    OFFICIAL_SAMPLER_UNSPECIFIED,
    PRIOR_NORMAL,
    PRIOR_TRUNCATED_NORMAL,
    TASK_GENERATE,
    TruncationRange,
)
from pellucid_export import exporter, runtime, source
from pellucid_export.exporter import Exported
from pellucid_export.families.biggan import FAMILY, Options
from pellucid_export.form import Form, Format
from pellucid_export.repository import Repository
from pellucid_export.samples import Arrays
from tests.pellucid_export.families.test_biggan_golden import DEEPMINDS, case, inputs
from tests.pellucid_export.published import biggan as published

pytestmark = pytest.mark.torch

SMALL = replace(
    published.IMAGENET_128,
    classes=6,
    embedding=8,
    latent=24,
    widths=((64, 64), (64, 32), (32, 32), (32, 16), (16, 8)),
)
WIDTHS_DEEP = ((32, 32), (32, 32), (32, 32), (32, 16))
LAYOUTS = {
    "hierarchical": SMALL,
    "shared": replace(SMALL, is_hierarchical=False),
    "unshared": replace(SMALL, embedding=0, is_hierarchical=False, attention=frozenset()),
    "deep": replace(SMALL, is_deep=True, latent=10, widths=WIDTHS_DEEP),
    "deep_flat": replace(SMALL, is_deep=True, is_hierarchical=False, latent=10, widths=WIDTHS_DEEP),
}


def mixed_rows(latent: int, classes: int, *truncations: float) -> Arrays:
    """As many rows as truncations: classes one by one, and the last two mixed."""
    count = len(truncations)
    labels = np.eye(classes, dtype=np.float32)[:count]
    labels[-1], labels[-2, :2] = 1 / classes, 0.5
    labels[-2, 2:] = 0
    return {
        "latent": np.random.default_rng(3).standard_normal((count, latent), dtype=np.float32),
        "label": labels,
        "truncation": np.array(truncations)[:, None],
    }


def row(values: Arrays, index: int) -> Arrays:
    return {name: value[index : index + 1] for name, value in values.items()}


@pytest.fixture(scope="module")
def deepmind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published.write_deep(tmp_path_factory.mktemp("deep"), published.deep(128, width=8, classes=6))


@pytest.fixture(scope="module", params=list(Format))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Exported, Repository]:
    """The official BigGAN-deep of the golden case, exported as a user would."""
    repository = Repository(tmp_path_factory.mktemp("models"))
    folder = case(DEEPMINDS).checkpoint
    form = Form("biggan", source.digest(folder), format=request.param, max_batch_size=4)
    return exporter.export(repository, "animals", form, folder), repository


def test_the_card_of_deepminds_network_scales_the_prior_and_gives_the_truncation_to_the_graph(deepmind: Path) -> None:
    network = FAMILY.load(deepmind, Options())
    card = network.card
    assert (card.task, card.height, card.width) == (TASK_GENERATE, 128, 128)
    assert (card.latent.size, card.latent.prior, card.latent.truncation_bound) == (8, PRIOR_TRUNCATED_NORMAL, 2)
    assert card.latent.official_sampler == OFFICIAL_SAMPLER_TRUNCNORM
    assert [(space.space, space.size, space.layers) for space in card.spaces] == [(SPACE_Z, 8, 1)]
    assert list(card.classes.names) == [f"class_{index}" for index in range(6)]
    assert card.truncation == TruncationRange(min=0.001, max=1, default_value=0.4, scales_prior=True)
    [stage] = network.stages
    found = [(tensor.name, tensor.dtype, tensor.shape) for tensor in stage.signature.inputs]
    assert found == [("latent", "float32", (8,)), ("label", "float32", (6,)), ("truncation", "float64", (1,))]
    assert [(t.name, t.dtype, t.shape) for t in stage.signature.outputs] == [("image", "uint8", (128, 128, 3))]


def test_the_card_of_biggan_pytorchs_network_only_scales_the_prior(tmp_path: Path) -> None:
    network = FAMILY.load(published.write_ema(tmp_path, SMALL), Options())
    card = network.card
    assert (card.height, card.width) == (128, 128)
    assert (card.latent.size, card.latent.prior, card.latent.truncation_bound) == (24, PRIOR_NORMAL, 0)
    assert card.latent.official_sampler == OFFICIAL_SAMPLER_UNSPECIFIED
    assert card.truncation == TruncationRange(max=1, default_value=1, scales_prior=True)
    assert [tensor.name for tensor in network.stages[0].signature.inputs] == ["latent", "label"]


def test_a_thousand_classes_are_imagenets(tmp_path: Path) -> None:
    layout = published.deep(128, width=8, classes=1000)
    names = FAMILY.load(published.write_deep(tmp_path, layout), Options()).card.classes.names
    assert len({name.casefold() for name in names}) == len(names) == 1000
    assert (names[0], names[207], names[292], names[999]) == ("tench", "golden retriever", "tiger", "toilet tissue")
    assert [index for index, name in enumerate(names) if name.startswith(("crane", "maillot"))] == [134, 517, 638, 639]


@pytest.mark.parametrize("size", [256, 512])
def test_the_published_layouts_of_other_sizes_are_read(tmp_path: Path, size: int) -> None:
    network = FAMILY.load(published.write_deep(tmp_path, published.deep(size, width=8, classes=3)), Options())
    assert (network.card.height, network.card.width) == (size, size)


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_shapes_of_biggan_pytorchs_files_tell_the_layout(tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    [stage] = FAMILY.load(published.write_ema(tmp_path, layout), Options(pixels="float32")).stages
    assert isinstance(stage.module, torch.nn.Module)
    assert stage.module.layout == layout
    rows = mixed_rows(layout.latent, 6, 1, 1, 1, 1)
    run = runtime.reference(stage)
    images = run(rows)["image"]
    assert images.shape == (4, layout.size, layout.size, 3)
    assert images.std(axis=0).mean() > 0.1
    for index in range(4):
        np.testing.assert_allclose(run(row(rows, index))["image"][0], images[index], atol=2e-5)


def test_mixed_classes_blend_their_embeddings_or_their_gains() -> None:
    [stage] = FAMILY.load(case("ajbrock_cifar32").checkpoint, Options(pixels="float32")).stages
    run, [first, second] = runtime.reference(stage), np.eye(10, dtype=np.float32)[:2]
    latent = np.random.default_rng(2).standard_normal((1, 24), dtype=np.float32)
    shares = np.linspace(0, 1, 11, dtype=np.float32)
    images = [
        run({"latent": latent, "label": (share * first + (1 - share) * second)[None]})["image"] for share in shares
    ]
    steps = [np.abs(after - before).mean() for before, after in pairwise(images)]
    whole = np.abs(images[0] - images[-1]).mean()
    assert max(steps) < 0.3 * whole < sum(steps)


def test_latents_are_not_scaled_in_the_graph_and_the_truncation_changes_the_statistics(deepmind: Path) -> None:
    [stage] = FAMILY.load(deepmind, Options(pixels="float32")).stages
    assert isinstance(stage.module, torch.nn.Module)
    firsts: list[torch.Tensor] = []
    stage.module.get_submodule("generator.gen_z").register_forward_hook(lambda *call: firsts.append(call[2]))
    run, rows = runtime.reference(stage), mixed_rows(8, 6, 1, 1)
    whole = run(rows)["image"]
    narrow = run({**rows, "truncation": np.full((2, 1), 0.3)})["image"]
    assert torch.equal(firsts[0], firsts[1])
    assert np.abs(whole - narrow).mean() > 0.02


def test_the_epsilon_of_the_norms_can_be_chosen_where_the_file_does_not_tell_it(tmp_path: Path) -> None:
    path, images = published.write_ema(tmp_path, SMALL), []
    for epsilon in (1e-5, 1e-1):
        [stage] = FAMILY.load(path, Options(pixels="float32", bn_eps=epsilon)).stages
        images.append(runtime.reference(stage)(row(mixed_rows(24, 6, 1, 1), 0))["image"])
    assert np.abs(images[0] - images[1]).max() > 0.01


def test_the_exported_graph_gives_the_official_8_bit_images(exported: tuple[Exported, Repository]) -> None:
    run = runtime.open_model(exported[0].directory)
    images = run(inputs(DEEPMINDS, "uint8_t0.5"))["image"]
    assert np.abs(images.astype(int) - case(DEEPMINDS).arrays["uint8_t0.5"].astype(int)).max() <= 1


def test_rows_of_a_batch_with_mixed_truncations_and_classes_equal_the_single_ones(
    exported: tuple[Exported, Repository],
) -> None:
    run, rows = runtime.open_model(exported[0].directory), mixed_rows(16, 12, 1.0, 0.43, 0.14, 0.005)
    images = run(rows)["image"].astype(int)
    for index in range(4):
        single = run(row(rows, index))["image"][0].astype(int)
        assert np.abs(single - images[index]).max() <= 1
    assert np.abs(images[0] - images[1]).mean() > 10


def test_the_repository_has_the_card_and_says_what_was_measured(exported: tuple[Exported, Repository]) -> None:
    version, repository = exported[0].version, exported[1]
    card = repository.card("animals")
    assert list(card.stages[0].inputs) == ["latent", "label", "truncation"]
    assert card.truncation.default_value == 0.4
    assert version.parity.max_error <= version.parity.tolerance == 1
    assert version.weights_digest.startswith("sha256:")
