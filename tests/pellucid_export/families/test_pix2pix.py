"""What a pix2pix's model offers, on small networks with random weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pellucid.v1.translation_pb2 import FIT_MODE_RESIZE, RESAMPLING_BICUBIC, DropoutInput, Sizes
from pellucid_export import exporter, runtime, source
from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.exporter import Exported
from pellucid_export.families.pix2pix import FAMILY, Options
from pellucid_export.family import Stage
from pellucid_export.form import Form, Format
from pellucid_export.networks import lab, resnet_generator
from pellucid_export.networks.norms import Norm
from pellucid_export.networks.resnet_generator import ResnetGenerator
from pellucid_export.networks.unet_generator import Layout, UnetGenerator
from pellucid_export.repository import Repository
from pellucid_export.samples import Array
from pellucid_export.verify import verify
from tests.pellucid_export.published import pix2pix as published
from tests.pellucid_export.published.cyclegan import random_state

pytestmark = pytest.mark.torch

SMALL = Layout(inputs=3, outputs=3, width=2, depth=6, norm="batch")
RESNET = resnet_generator.Layout(inputs=3, outputs=3, width=4, blocks=2, norm="batch", has_dropout=True)
SIDE = 64
PICTURES = np.random.default_rng(6).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
SEEDED = Options(pixels="float32", size=SIDE, dropout="seeded")
# The only dropout of six levels sees 16 channels of 4 x 4 pixels, behind the norm of this name.
UNET_FLAGS, UNET_NORM = 16 * 4 * 4, "model.model.1.model.3.model.3.model.3.model.6"


def saved(folder: Path, layout: Layout | resnet_generator.Layout, state: State | None = None) -> Path:
    generator = UnetGenerator(layout) if isinstance(layout, Layout) else ResnetGenerator(layout)
    torch.save(random_state(generator) if state is None else state, folder / "latest_net_G.pth")
    return folder / "latest_net_G.pth"


def stage(path: Path, options: Options) -> Stage:
    [only] = FAMILY.load(path, options).stages
    return only


def generator(of: Stage) -> nn.Module:
    assert isinstance(of.module, nn.Module)
    return of.module.get_submodule("generator")


def translated(path: Path, options: Options, *flags: Array) -> Array:
    """What a file makes of the pictures."""
    given = {"source": PICTURES} | ({"dropout": flags[0]} if flags else {})
    return runtime.reference(stage(path, options))(given)["image"]


@pytest.fixture(scope="module", params=list(Format))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Exported, Repository]:
    """A U-Net with seeded dropout, exported as a user would."""
    repository = Repository(tmp_path_factory.mktemp("models"))
    path = saved(tmp_path_factory.mktemp("unet"), SMALL)
    options = {"dropout": "seeded"}
    form = Form("pix2pix", source.digest(path), options=options, format=request.param, max_batch_size=3)
    return exporter.export(repository, "facades", form, path), repository


def test_the_card_tells_the_only_size_the_statistics_and_the_dropout(exported: tuple[Exported, Repository]) -> None:
    card = exported[1].card("facades")
    assert (card.height, card.width) == (SIDE, SIDE)
    assert card.translation.sizes == Sizes(fixed=True, default_fit=FIT_MODE_RESIZE, resampling=RESAMPLING_BICUBIC)
    assert card.translation.dropout == DropoutInput(size=UNET_FLAGS, keep=0.5)
    assert card.description == (
        "U-Net of 6 levels. Its batch norms take each image's own statistics, as the official test does. Requests may"
        " draw its dropout."
    )
    [only] = card.stages
    assert (only.role, list(only.inputs), list(only.outputs)) == ("translator", ["source", "dropout"], ["image"])


def test_an_image_is_the_same_whatever_its_neighbours_and_their_dropout_are(
    exported: tuple[Exported, Repository],
) -> None:
    one, repository = exported
    assert [result.fault for result in verify(repository, "facades")] == [""]
    run = runtime.open_model(one.directory)
    flags = np.random.default_rng(0).integers(0, 2, (3, UNET_FLAGS), dtype=np.uint8)
    flags[1] = 1
    together = run({"source": PICTURES, "dropout": flags})["image"].astype(int)
    for row in range(3):
        alone = run({"source": PICTURES[row : row + 1], "dropout": flags[row : row + 1]})["image"].astype(int)
        assert np.abs(together[row] - alone[0]).max() <= 1


def test_all_flags_set_are_the_network_without_dropout(tmp_path: Path) -> None:
    for layout in (SMALL, RESNET):
        path = saved(tmp_path, layout)
        flags = stage(path, SEEDED).signature.inputs[1].dims[0]
        kept = translated(path, SEEDED, np.ones((3, flags), np.uint8))
        np.testing.assert_array_equal(kept, translated(path, replace(SEEDED, dropout="none")))
        dropped = translated(path, SEEDED, np.random.default_rng(0).integers(0, 2, (3, flags), dtype=np.uint8))
        assert np.abs(kept - dropped).mean() > 0.01


@pytest.mark.parametrize("depth", [6, 7])
def test_a_u_nets_dropout_comes_behind_the_norms_of_its_inner_levels_the_innermost_first(
    tmp_path: Path, depth: int
) -> None:
    layout = replace(SMALL, depth=depth)
    options = replace(SEEDED, size=2**depth)
    state = random_state(UnetGenerator(layout))
    path = saved(tmp_path, layout)
    draws = np.random.default_rng(1)
    flags = []
    # Channels that are dropped or kept as a whole do the same as another weight and bias of the norm before them.
    for level in range(depth - 2, 3, -1):
        factors = draws.integers(0, 2, 16).astype(np.float32)
        flags.append(np.repeat(factors, (2**depth >> level) ** 2))
        norm = "model.model.1" + ".model.3" * (level - 1) + ".model.6"
        for name in ("weight", "bias"):
            state[f"{norm}.{name}"] *= torch.from_numpy(2 * factors)
    size = 2**depth
    pictures = np.resize(PICTURES, (2, size, size, 3))
    seeded = runtime.reference(stage(path, options))
    [one] = np.concatenate(flags).astype(np.uint8)[None]
    found = seeded({"source": pictures, "dropout": np.stack([one, one])})["image"]
    plain = runtime.reference(stage(saved(tmp_path, layout, state), replace(options, dropout="none")))
    np.testing.assert_allclose(found, plain({"source": pictures})["image"], atol=1e-5)


def test_a_resnets_dropout_comes_behind_the_first_norm_of_its_blocks(tmp_path: Path) -> None:
    state = random_state(ResnetGenerator(RESNET))
    path = saved(tmp_path, RESNET)
    factors = np.random.default_rng(1).integers(0, 2, (2, 16)).astype(np.float32)
    for block, kept in enumerate(factors):
        for name in ("weight", "bias"):
            state[f"model.{10 + block}.conv_block.2.{name}"] *= torch.from_numpy(2 * kept)
    flags = np.repeat(factors.reshape(-1), (SIDE // 4) ** 2).astype(np.uint8)
    found = translated(path, SEEDED, np.stack([flags] * 3))
    other = saved(tmp_path, RESNET, state)
    np.testing.assert_allclose(found, translated(other, replace(SEEDED, dropout="none")), atol=1e-5)


def test_seeded_dropout_fixes_the_size_of_a_resnet(tmp_path: Path) -> None:
    path = saved(tmp_path, RESNET)
    free, fixed = (FAMILY.load(path, Options(size=40, dropout=dropout)) for dropout in ("none", "seeded"))
    assert not free.card.translation.sizes.fixed
    assert fixed.card.translation.sizes.fixed
    assert fixed.card.translation.dropout.size == 2 * 16 * 10 * 10
    assert fixed.stages[0].signature.inputs[0].shape == (40, 40, 3)


def test_dropout_cannot_be_seeded_where_the_network_has_none(tmp_path: Path) -> None:
    for layout in (replace(RESNET, has_dropout=False), replace(SMALL, depth=5)):
        with pytest.raises(CheckpointError, match=r"latest_net_G\.pth: option 'dropout' is seeded"):
            FAMILY.load(saved(tmp_path, layout), Options(dropout="seeded"))


def test_running_statistics_need_batch_norms(tmp_path: Path) -> None:
    for layout in (replace(SMALL, norm="instance"), replace(RESNET, norm="none")):
        with pytest.raises(CheckpointError, match=r"latest_net_G\.pth: option 'statistics' is running"):
            FAMILY.load(saved(tmp_path, layout), Options(statistics="running"))
    description = FAMILY.load(saved(tmp_path, SMALL), Options(statistics="running")).card.description
    assert "the statistics of training, as the official test does with --eval" in description


def test_a_u_net_takes_other_multiples_of_its_own_size_where_it_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path, SMALL)
    assert stage(path, Options()).signature.inputs[0].shape == (64, 64, 3)
    larger = stage(path, Options(size=128))
    assert larger.signature.inputs[0].shape == (128, 128, 3)
    image = runtime.reference(larger)({"source": np.zeros((1, 128, 128, 3), np.uint8)})["image"]
    assert image.shape == (1, 128, 128, 3)
    with pytest.raises(
        FamilyError, match="'size' must be a multiple of 64 from 64 to 3072 for a U-Net of 6 levels, not 96"
    ):
        FAMILY.load(path, Options(size=96))


@pytest.mark.parametrize("depth", [5, 7, 9])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("channels", [(1, 3), (3, 1)])
def test_the_shapes_tell_a_u_nets_layout(tmp_path: Path, depth: int, norm: str, channels: tuple[int, int]) -> None:
    layout = replace(SMALL, depth=depth, norm=norm, inputs=channels[0], outputs=channels[1])
    found = stage(saved(tmp_path, layout), Options())
    assert generator(found).layout == layout
    assert found.signature.inputs[0].shape == (2**depth, 2**depth, 3)


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("has_dropout", [False, True])
def test_the_shapes_tell_a_resnets_layout(tmp_path: Path, norm: str, has_dropout: bool) -> None:
    layout = replace(RESNET, norm=norm, has_dropout=has_dropout)
    found = stage(saved(tmp_path, layout), Options())
    assert generator(found).layout == layout


def test_a_network_for_grey_sees_pillows_grey(tmp_path: Path) -> None:
    run = runtime.reference(stage(saved(tmp_path, replace(SMALL, inputs=1)), Options()))
    greys = np.stack([np.asarray(Image.fromarray(picture).convert("L").convert("RGB")) for picture in PICTURES])
    np.testing.assert_array_equal(run({"source": PICTURES})["image"], run({"source": greys})["image"])


def test_colourisation_keeps_the_lightness_and_takes_colours_from_the_network(tmp_path: Path) -> None:
    path = saved(tmp_path, replace(SMALL, inputs=1, outputs=2))
    only = stage(path, replace(SEEDED, dropout="none"))
    picture = PICTURES[:1] // 4 + 96
    image = runtime.reference(only)({"source": picture})["image"]
    assert (image.min() >= -1, image.max() <= 1) == (True, True)
    rgb = torch.from_numpy(picture).permute(0, 3, 1, 2).float() / 255
    light = lab.lightness(rgb)
    with torch.inference_mode():
        colours = generator(only)(light / 50 - 1)
    expected = lab.to_rgb(light, colours * 110).permute(0, 2, 3, 1).numpy() * 2 - 1
    np.testing.assert_allclose(image, expected, atol=1e-5)
    assert np.ptp(image, axis=3).mean() > 0.02


def test_colourisation_can_be_exported(tmp_path: Path) -> None:
    path = saved(tmp_path, replace(SMALL, inputs=1, outputs=2))
    for file_format in Format:
        repository = Repository(tmp_path / file_format.value)
        form = Form("pix2pix", source.digest(path), format=file_format, max_batch_size=2)
        assert exporter.export(repository, "colours", form, path).version.parity.max_error <= 1


@pytest.mark.parametrize(
    ("depth", "norm", "parameters"),
    [(8, "batch", 54_413_955), (8, "instance", 54_409_603), (7, "batch", 41_828_995), (7, "instance", 41_825_667)],
)
def test_published_sizes_have_as_many_parameters_as_the_official_networks(
    depth: int, norm: Norm, parameters: int
) -> None:
    with torch.device("meta"):
        unet = UnetGenerator(replace(published.EDGES2SHOES, depth=depth, norm=norm))
    assert sum(value.numel() for value in unet.parameters()) == parameters
