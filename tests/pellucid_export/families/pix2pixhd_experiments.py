"""Folders as pix2pixHD's training leaves them, of networks small enough to export in a moment."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pellucid_export.containers.checkpoints import State
from pellucid_export.networks import global_generator, local_enhancer
from pellucid_export.networks.feature_encoder import FeatureEncoder
from pellucid_export.networks.global_generator import GlobalGenerator
from pellucid_export.networks.local_enhancer import LocalEnhancer


def global_state(inputs: int, outputs: int = 3, halvings: int = 1, is_affine: bool = False) -> State:
    layout = global_generator.Layout(inputs, width=4, halvings=halvings, blocks=2, is_affine=is_affine)
    return random_state(GlobalGenerator(layout, outputs))


def local_state(inputs: int, enhancers: int = 1, width: int = 4) -> State:
    within = global_generator.Layout(inputs, width=width, halvings=1, blocks=2, is_affine=False)
    return random_state(LocalEnhancer(local_enhancer.Layout(within, enhancers, blocks=1, outputs=3)))


def encoder_state(size: int, halvings: int = 1) -> State:
    return random_state(FeatureEncoder(width=2, size=size, halvings=halvings, is_affine=False))


def random_state(network: nn.Module) -> State:
    """Weights as training starts with them, but with norms that scale and shift where they can."""
    torch.manual_seed(0)
    return {
        name: value + 0.2 * torch.randn(value.shape) if value.ndim == 1 else torch.randn(value.shape) * 0.3
        for name, value in network.state_dict().items()
    }


def experiment(
    folder: Path,
    generator: State,
    encoder: State | None = None,
    clusters: dict[int, npt.NDArray[np.float64]] | None = None,
    epoch: str = "latest",
) -> Path:
    torch.save(generator, folder / f"{epoch}_net_G.pth")
    if encoder is not None:
        torch.save(encoder, folder / f"{epoch}_net_E.pth")
    if clusters is not None:
        np.save(folder / "features_clustered_010.npy", np.array(clusters, object), allow_pickle=True)
    return folder
