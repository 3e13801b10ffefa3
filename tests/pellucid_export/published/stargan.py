"""StarGAN as it is published for CelebA at 256 x 256: `200000-G.ckpt` of celeba-256x256-5attrs, with random weights."""

from pathlib import Path

import torch

from pellucid_export.containers.checkpoints import State
from pellucid_export.networks.labelled_generator import LabelledGenerator, Layout

CELEBA = Layout(labels=5, width=64, blocks=6)


def write(folder: Path, seed: int = 0) -> Path:
    """Write a file as PyTorch 0.3 did: of the old container, with statistics of training, but no count of them."""
    path = folder / "200000-G.ckpt"
    torch.save(tracked(random_state(CELEBA, seed)), path, _use_new_zipfile_serialization=False)
    return path


def random_state(layout: Layout, seed: int) -> State:
    """Weights as training starts with them, but with norms that scale and shift."""
    torch.manual_seed(seed)
    state = LabelledGenerator(layout).state_dict()
    norms = {name: value for name, value in state.items() if value.ndim == 1}
    return {**state, **{name: value + 0.2 * torch.randn(value.shape) for name, value in norms.items()}}


def tracked(state: State) -> State:
    """A state with the statistics that the official norms keep, none of which fit the images to come."""
    channels = {name.removesuffix(".bias"): value for name, value in state.items() if name.endswith(".bias")}
    means = {f"{norm}.running_mean": torch.full(value.shape, 3.0) for norm, value in channels.items()}
    return {
        **state,
        **means,
        **{f"{norm}.running_var": torch.full(value.shape, 9.0) for norm, value in channels.items()},
    }
