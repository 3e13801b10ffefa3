"""pix2pix's `latest_net_G.pth` as downloads have it (edges2shoes and the others), with random weights."""

from pathlib import Path

import torch

from pellucid_export.networks.unet_generator import Layout, UnetGenerator
from tests.pellucid_export.published.cyclegan import random_state

EDGES2SHOES = Layout(inputs=3, outputs=3, width=64, depth=8, norm="batch")


def write(folder: Path, seed: int = 0) -> Path:
    """Write a unet_256 in the container of old days, whose norms did not count their batches."""
    state = random_state(UnetGenerator(EDGES2SHOES), seed)
    state = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(state, folder / "latest_net_G.pth", _use_new_zipfile_serialization=False)
    return folder / "latest_net_G.pth"
