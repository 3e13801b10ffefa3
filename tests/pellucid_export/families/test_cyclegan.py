"""What a CycleGAN's model offers, on small networks with random weights."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pellucid.v1.model_pb2 import DETERMINISM_EXACT, DETERMINISM_ONE_LEVEL, TASK_TRANSLATE
from pellucid.v1.translation_pb2 import FIT_MODE_PAD, FIT_MODE_RESIZE, RESAMPLING_BICUBIC, Direction, Sizes
from pellucid_export import exporter, runtime, source
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.exporter import Exported
from pellucid_export.families.cyclegan import FAMILY, Options
from pellucid_export.family import Length
from pellucid_export.form import Form, Format
from pellucid_export.networks import unet_generator
from pellucid_export.networks.norms import Norm
from pellucid_export.networks.resnet_generator import Layout, ResnetGenerator
from pellucid_export.networks.unet_generator import UnetGenerator
from pellucid_export.repository import Repository
from pellucid_export.verify import verify
from tests.pellucid_export.published import cyclegan as published

pytestmark = pytest.mark.torch

SMALL = Layout(inputs=3, outputs=3, width=4, blocks=2, norm="instance", has_dropout=False)
UNET = UnetGenerator(unet_generator.Layout(3, 3, 2, 5, "instance"))
PICTURES = np.random.default_rng(5).integers(0, 256, (3, 40, 24, 3), dtype=np.uint8)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    folder = tmp_path / "pair"
    folder.mkdir()
    return published.write_pair(folder, ResnetGenerator(SMALL))


@pytest.fixture(scope="module", params=list(Format))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Exported, Repository]:
    """Both directions, exported as a user would."""
    repository = Repository(tmp_path_factory.mktemp("models"))
    folder = published.write_pair(tmp_path_factory.mktemp("pair"), ResnetGenerator(SMALL))
    options = {"size": "32", "domain_a": "horse", "domain_b": "zebra"}
    form = Form("cyclegan", source.digest(folder), options=options, format=request.param, max_batch_size=3)
    return exporter.export(repository, "horses", form, folder), repository


def test_the_card_of_a_pair_names_its_directions_and_their_stages(exported: tuple[Exported, Repository]) -> None:
    card = exported[1].card("horses")
    assert (card.task, card.height, card.width) == (TASK_TRANSLATE, 32, 32)
    assert [(stage.role, stage.model) for stage in card.stages] == [("b_to_a", "horses.b_to_a"), ("a_to_b", "horses")]
    assert {(*stage.inputs, *stage.outputs) for stage in card.stages} == {("source", "image")}
    assert list(card.translation.directions) == [
        Direction(name="horse2zebra", stage="a_to_b", back="zebra2horse"),
        Direction(name="zebra2horse", stage="b_to_a", back="horse2zebra"),
    ]
    assert card.translation.sizes == Sizes(
        height_multiple=4,
        width_multiple=4,
        min_side=8,
        max_px=4096 * 2304,
        default_fit=FIT_MODE_PAD,
        resampling=RESAMPLING_BICUBIC,
    )
    assert not card.translation.HasField("dropout")
    assert card.description == (
        "ResNet generator of 2 blocks. Its instance norms take each image's own statistics. No dropout."
    )


def test_both_stages_follow_their_networks_at_any_size_and_in_any_batch(exported: tuple[Exported, Repository]) -> None:
    one, repository = exported
    assert one.version.determinism in (DETERMINISM_EXACT, DETERMINISM_ONE_LEVEL)
    assert [result.fault for result in verify(repository, "horses")] == ["", ""]
    run = runtime.open_model(one.directory)
    for height, width in ((8, 8), (12, 44), (64, 20)):
        assert run({"source": np.zeros((2, height, width, 3), np.uint8)})["image"].shape == (2, height, width, 3)


def test_an_image_is_the_same_whatever_its_neighbours_are(exported: tuple[Exported, Repository]) -> None:
    one, repository = exported
    for name in ("horses", "horses.b_to_a"):
        run = runtime.open_model(repository.directory(name, int(one.version.name)))
        together = run({"source": PICTURES})["image"].astype(int)
        alone = np.concatenate([run({"source": PICTURES[row : row + 1]})["image"] for row in range(3)]).astype(int)
        beside_black = run({"source": np.concatenate([PICTURES[:1], np.zeros_like(PICTURES[:2])])})["image"][:1]
        assert np.abs(together - alone).max() <= 1
        assert np.abs(beside_black.astype(int) - alone[:1]).max() <= 1
        assert together.std(axis=(1, 2, 3)).min() > 10


def test_each_direction_is_its_own_network(pair: Path) -> None:
    network = FAMILY.load(pair, Options())
    given = {"source": PICTURES}
    for stage, file in zip(network.stages, ("latest_net_G_B.pth", "latest_net_G_A.pth"), strict=True):
        [alone] = FAMILY.load(pair / file, Options()).stages
        np.testing.assert_array_equal(
            runtime.reference(stage)(given)["image"], runtime.reference(alone)(given)["image"]
        )
    [there, back] = [runtime.reference(stage)(given)["image"].astype(int) for stage in network.stages]
    assert np.abs(there - back).mean() > 10


def test_directions_without_names_are_a_to_b_and_back(pair: Path) -> None:
    directions = FAMILY.load(pair, Options()).card.translation.directions
    assert [(one.name, one.back) for one in directions] == [("AtoB", "BtoA"), ("BtoA", "AtoB")]


def test_a_single_file_is_one_direction_without_a_name(pair: Path) -> None:
    network = FAMILY.load(pair / "latest_net_G_A.pth", Options())
    [stage] = network.stages
    assert (stage.role, list(network.card.translation.directions)) == ("translator", [])
    assert stage.signature.inputs[0].shape == (Length("height", 4, 256), Length("width", 4, 256), 3)
    assert (network.card.height, network.card.width) == (256, 256)
    assert network.weights_digest != FAMILY.load(pair, Options()).weights_digest


def test_another_epoch_is_read_where_it_is_asked_for(pair: Path) -> None:
    published.write_pair(pair, ResnetGenerator(SMALL), seed=9, epoch="200")
    digests = {FAMILY.load(pair, Options(epoch=epoch)).weights_digest for epoch in ("latest", "200")}
    assert len(digests) == 2
    with pytest.raises(CheckpointError, match=r"5_net_G_A\.pth is missing \(generators found: 200_net_G_A\.pth, "):
        FAMILY.load(pair, Options(epoch="5"))


def test_exchanged_networks_are_other_weights(pair: Path) -> None:
    digest = FAMILY.load(pair, Options()).weights_digest
    there, back = (pair / f"latest_net_{network}.pth" for network in ("G_A", "G_B"))
    content = there.read_bytes()
    there.write_bytes(back.read_bytes())
    back.write_bytes(content)
    assert FAMILY.load(pair, Options()).weights_digest != digest


def test_a_pair_of_u_nets_has_one_size(tmp_path: Path) -> None:
    card = FAMILY.load(published.write_pair(tmp_path, UNET), Options()).card
    assert (card.height, card.width) == (32, 32)
    assert card.translation.sizes == Sizes(fixed=True, default_fit=FIT_MODE_RESIZE, resampling=RESAMPLING_BICUBIC)
    assert len(card.translation.directions) == 2


def test_two_networks_of_different_kinds_are_no_pair(tmp_path: Path) -> None:
    published.write_pair(tmp_path, ResnetGenerator(SMALL))
    (tmp_path / "latest_net_G_B.pth").unlink()
    unet = published.write_pair(tmp_path, UNET, epoch="unet") / "unet_net_G_B.pth"
    unet.rename(tmp_path / "latest_net_G_B.pth")
    with pytest.raises(CheckpointError, match="G_A is a ResNet generator of 2 blocks and G_B a U-Net of 5 levels"):
        FAMILY.load(tmp_path, Options())


@pytest.mark.parametrize("names", [("horse", ""), ("", "zebra"), ("horse", "horse"), ("h" * 41, "zebra")])
def test_domains_are_named_both_or_not_at_all(pair: Path, names: tuple[str, str]) -> None:
    with pytest.raises(FamilyError, match="must be two different names of up to 40 characters"):
        FAMILY.load(pair, Options(domain_a=names[0], domain_b=names[1]))


def test_a_single_direction_has_no_domains_to_name(pair: Path) -> None:
    with pytest.raises(FamilyError, match="of a folder with two networks"):
        FAMILY.load(pair / "latest_net_G_A.pth", Options(domain_a="horse", domain_b="zebra"))


@pytest.mark.parametrize("size", [-4, 4, 30, 3076])
def test_a_size_that_the_network_does_not_take_is_refused(pair: Path, size: int) -> None:
    with pytest.raises(FamilyError, match=rf"'size' must be a multiple of 4 from 8 to 3072 .*, not {size}"):
        FAMILY.load(pair, Options(size=size))


@pytest.mark.parametrize("blocks", [1, 6, 9])
@pytest.mark.parametrize("inputs", [1, 3])
@pytest.mark.parametrize("outputs", [1, 3])
def test_the_shapes_tell_the_layout(tmp_path: Path, blocks: int, inputs: int, outputs: int) -> None:
    layout = replace(SMALL, blocks=blocks, inputs=inputs, outputs=outputs)
    published.write_pair(tmp_path, ResnetGenerator(layout))
    [stage] = FAMILY.load(tmp_path / "latest_net_G_A.pth", Options()).stages
    assert isinstance(stage.module, nn.Module)
    assert stage.module.get_submodule("generator").layout == layout
    image = runtime.reference(stage)({"source": PICTURES})["image"]
    assert image.shape == PICTURES.shape
    assert (np.ptp(image, axis=3).max() == 0) == (outputs == 1)


@pytest.mark.parametrize(
    ("blocks", "norm", "parameters"),
    [(9, "instance", 11_378_179), (9, "batch", 11_383_427), (6, "instance", 7_837_699), (6, "batch", 7_841_411)],
)
def test_published_sizes_have_as_many_parameters_as_the_official_networks(
    blocks: int, norm: Norm, parameters: int
) -> None:
    with torch.device("meta"):
        generator = ResnetGenerator(replace(published.HORSE2ZEBRA, blocks=blocks, norm=norm))
    assert sum(value.numel() for value in generator.parameters()) == parameters
