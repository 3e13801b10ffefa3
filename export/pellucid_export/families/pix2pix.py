"""pix2pix: Isola et al., "Image-to-image translation with conditional adversarial networks", 2017.

Which way a network translates was decided by its training (`--direction`); no file says it, and no option changes it.
"""

from dataclasses import dataclass
from pathlib import Path

from pellucid_export.containers import checkpoints
from pellucid_export.family import Family, Network
from pellucid_export.networks import image_translator


@dataclass(frozen=True)
class Options(image_translator.Options):
    """What can be chosen at export.

    `tiles` permits pictures in tiles although these differ from each other: norms take the statistics of a tile, and a
    U-Net sees no more of the picture. ResNets with norms of training, or none, permit them anyway.
    """

    tiles: bool = False


def load(path: Path, options: Options) -> Network:
    """Read a generator, U-Net or ResNet, whose weights tell all its sizes."""
    translator = image_translator.read(path, options)
    card = translator.card()
    card.translation.sizes.tiles = options.tiles or translator.is_local
    return Network((translator.stage("translator"),), card, checkpoints.digest(translator.state))


FAMILY = Family(
    name="pix2pix",
    description="pix2pix (Isola et al. 2017) of pytorch-CycleGAN-and-pix2pix, U-Nets and ResNets",
    containers=("generator (latest_net_G.pth)",),
    options=Options,
    load=load,
)
