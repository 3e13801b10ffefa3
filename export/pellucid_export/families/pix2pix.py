"""pix2pix: Isola et al., "Image-to-image translation with conditional adversarial networks", 2017.

Which way a network translates was decided by its training (`--direction`); no file says it, and no option changes it.
"""

from dataclasses import dataclass
from pathlib import Path

from pellucid_export import checkpoints
from pellucid_export.family import Family, Network
from pellucid_export.networks import image_translator


@dataclass(frozen=True)
class Options(image_translator.Options):
    """What can be chosen at export."""


def load(path: Path, options: Options) -> Network:
    """Read a generator, U-Net or ResNet, whose weights tell all its sizes."""
    translator = image_translator.read(path, options)
    return Network((translator.stage("translator"),), translator.card(), checkpoints.digest(translator.state))


FAMILY = Family(
    name="pix2pix",
    description="pix2pix (Isola et al. 2017) of pytorch-CycleGAN-and-pix2pix, U-Nets and ResNets",
    containers=("generator (latest_net_G.pth)",),
    options=Options,
    load=load,
)
