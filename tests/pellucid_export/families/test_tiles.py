"""Which translators' cards permit tiles: those that make the same of a part wherever it lies, or by an option."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pellucid_export.families import cyclegan, pix2pix, pix2pixhd, stargan
from pellucid_export.family import Family
from pellucid_export.networks import labelled_generator, resnet_generator, unet_generator
from pellucid_export.networks.norms import Norm
from pellucid_export.networks.resnet_generator import ResnetGenerator
from pellucid_export.networks.translator import Generator
from pellucid_export.networks.unet_generator import UnetGenerator
from tests.pellucid_export.families.pix2pixhd_experiments import experiment, global_state
from tests.pellucid_export.published import cyclegan as published
from tests.pellucid_export.published import stargan as published_stargan

pytestmark = pytest.mark.torch


def permitted(family: Family[Any], path: Path, **chosen: object) -> bool:
    return bool(family.load(path, family.options(**chosen)).card.translation.sizes.tiles)


def resnet(norm: Norm, *, dropout: bool = False) -> ResnetGenerator:
    return ResnetGenerator(resnet_generator.Layout(3, 3, width=4, blocks=1, norm=norm, has_dropout=dropout))


def saved(folder: Path, generator: Generator) -> Path:
    torch.save(published.random_state(generator), folder / "latest_net_G.pth")
    return folder / "latest_net_G.pth"


@pytest.mark.parametrize("family", [pix2pix.FAMILY, cyclegan.FAMILY])
@pytest.mark.parametrize(
    ("generator", "chosen", "wanted"),
    [
        (resnet("batch"), {"statistics": "running"}, True),
        (resnet("none"), {}, True),
        (resnet("batch"), {}, False),
        (resnet("instance"), {}, False),
        (resnet("batch", dropout=True), {"statistics": "running", "dropout": "seeded", "size": 32}, False),
        (UnetGenerator(unet_generator.Layout(3, 3, 2, 5, "batch")), {"statistics": "running"}, False),
    ],
    ids=["training's", "none", "image's", "instance", "dropout of one size", "u-net"],
)
def test_tiles_are_permitted_where_a_part_does_not_depend_on_the_rest(
    tmp_path: Path, family: Family[Any], generator: Generator, chosen: dict[str, object], wanted: bool
) -> None:
    path = saved(tmp_path, generator)
    assert permitted(family, path, **chosen) is wanted
    assert permitted(family, path, **chosen, tiles=True) is True


def test_both_directions_say_whether_tiles_are_permitted(tmp_path: Path) -> None:
    published.write_pair(tmp_path, resnet("instance"))
    assert permitted(cyclegan.FAMILY, tmp_path) is False
    assert permitted(cyclegan.FAMILY, tmp_path, tiles=True) is True


def test_networks_whose_norms_are_of_each_image_permit_tiles_by_an_option_alone(tmp_path: Path) -> None:
    state = published_stargan.random_state(labelled_generator.Layout(labels=5, width=4, blocks=1), 0)
    torch.save(state, tmp_path / "200000-G.ckpt")
    scenes = experiment(tmp_path, global_state(8)) / "latest_net_G.pth"
    for family, path in ((stargan.FAMILY, tmp_path / "200000-G.ckpt"), (pix2pixhd.FAMILY, scenes)):
        assert permitted(family, path) is False
        assert permitted(family, path, tiles=True) is True
