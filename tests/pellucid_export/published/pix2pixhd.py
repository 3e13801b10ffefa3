"""pix2pixHD as it is published for Cityscapes: `latest_net_G.pth` of label2city_1024p, with random weights.

Its global generator, for half the resolution, is what the same scripts train first (label2city_512p).
"""

from pathlib import Path

import torch

from pellucid_export.networks import global_generator, local_enhancer
from pellucid_export.networks.global_generator import GlobalGenerator
from pellucid_export.networks.local_enhancer import LocalEnhancer

LABEL2CITY = global_generator.Layout(inputs=36, width=64, halvings=4, blocks=9, is_affine=False)
ENHANCED = local_enhancer.Layout(LABEL2CITY, enhancers=1, blocks=3, outputs=3)


def write(folder: Path, seed: int = 0) -> Path:
    """Write the local enhancer for 2048 x 1024 pixels."""
    torch.manual_seed(seed)
    return _written(folder, LocalEnhancer(ENHANCED))


def write_global(folder: Path, seed: int = 0) -> Path:
    """Write the global generator for 1024 x 512 pixels."""
    torch.manual_seed(seed)
    return _written(folder, GlobalGenerator(LABEL2CITY, outputs=3))


def _written(folder: Path, generator: torch.nn.Module) -> Path:
    path = folder / "latest_net_G.pth"
    torch.save(generator.state_dict(), path)
    return path
