"""CycleGAN: Zhu et al., "Unpaired image-to-image translation using cycle-consistent adversarial networks", 2017.

Training makes two generators, G_A from domain A to B and G_B back (the paper's G and F). A folder with both becomes a
model of two directions; downloads are one generator, one direction.
"""

from dataclasses import dataclass
from pathlib import Path

from pellucid.v1.model_pb2 import Model
from pellucid.v1.translation_pb2 import Direction
from pellucid_export.containers import checkpoints
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.family import Family, Network
from pellucid_export.networks import image_translator
from pellucid_export.networks.image_translator import ImageTranslator

# Roles of the two stages, which also say which network is which.
_A_TO_B, _B_TO_A = "a_to_b", "b_to_a"
_LONGEST_NAME = 40


@dataclass(frozen=True)
class Options(image_translator.Options):
    """What can be chosen at export.

    `epoch` is which files of a folder are read. `domain_a` and `domain_b` name a folder's directions: horse and zebra
    make horse2zebra and zebra2horse; without them they are AtoB and BtoA. `tiles` permits pictures in tiles although
    norms then take the statistics of each; networks with norms of training, or none, permit them anyway.
    """

    epoch: str = "latest"
    domain_a: str = ""
    domain_b: str = ""
    tiles: bool = False


def load(path: Path, options: Options) -> Network:
    """Read one generator from a file, or both from a folder."""
    names = _direction_names(options)
    if path.is_dir():
        return _both_ways(path, options, names)
    if options.domain_a:
        raise FamilyError("options 'domain_a' and 'domain_b' name the directions of a folder with two networks")
    translator = image_translator.read(path, options)
    return Network((translator.stage("translator"),), _card(translator, options), checkpoints.digest(translator.state))


def _both_ways(folder: Path, options: Options, names: tuple[str, str]) -> Network:
    there, back = (_read(folder, f"{options.epoch}_net_{network}.pth", options) for network in ("G_A", "G_B"))
    card = _card(there, options)
    if card != _card(back, options):
        raise CheckpointError(
            f"{folder.name}: G_A is a {there.generator} and G_B a {back.generator}, or they differ in norm or dropout;"
            " two networks of one training are alike"
        )
    card.translation.directions.extend(
        [
            Direction(name=names[0], stage=_A_TO_B, back=names[1]),
            Direction(name=names[1], stage=_B_TO_A, back=names[0]),
        ]
    )
    weights = {f"G_A.{name}": tensor for name, tensor in there.state.items()}
    weights |= {f"G_B.{name}": tensor for name, tensor in back.state.items()}
    return Network((back.stage(_B_TO_A), there.stage(_A_TO_B)), card, checkpoints.digest(weights))


def _card(translator: ImageTranslator, options: Options) -> Model:
    card = translator.card()
    card.translation.sizes.tiles = options.tiles or translator.is_local
    return card


def _read(folder: Path, name: str, options: Options) -> ImageTranslator:
    if not (folder / name).is_file():
        found = ", ".join(sorted(file.name for file in folder.glob("*_net_G*.pth"))) or "none"
        raise CheckpointError(
            f"{folder.name}: {name} is missing (generators found: {found}); option 'epoch' chooses others, and a single"
            " generator is given by its file"
        )
    return image_translator.read(folder / name, options)


def _direction_names(options: Options) -> tuple[str, str]:
    a, b = options.domain_a, options.domain_b
    if not a and not b:
        return "AtoB", "BtoA"
    if not a or not b or a == b or max(len(a), len(b)) > _LONGEST_NAME:
        raise FamilyError(
            f"options 'domain_a' and 'domain_b' must be two different names of up to {_LONGEST_NAME} characters,"
            f" not '{a}' and '{b}'"
        )
    return f"{a}2{b}", f"{b}2{a}"


FAMILY = Family(
    name="cyclegan",
    description="CycleGAN (Zhu et al. 2017) of pytorch-CycleGAN-and-pix2pix, ResNets and U-Nets",
    containers=(
        "generator (latest_net_G.pth), one direction",
        "folder with <epoch>_net_G_A.pth and <epoch>_net_G_B.pth, both directions",
    ),
    options=Options,
    load=load,
)
