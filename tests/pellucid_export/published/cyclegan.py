"""CycleGAN's `latest_net_G.pth` as downloads have it (horse2zebra and the others), with random weights."""

from pathlib import Path

import torch
from torch import nn

from pellucid_export.containers.checkpoints import State
from pellucid_export.networks.norms import PerImageNorm
from pellucid_export.networks.resnet_generator import Layout, ResnetGenerator
from pellucid_export.networks.translator import Generator

HORSE2ZEBRA = Layout(inputs=3, outputs=3, width=64, blocks=9, norm="instance", has_dropout=False)


def write(folder: Path, seed: int = 0) -> Path:
    """Write one direction, in the container of old days and with the statistics that norms tracked then."""
    generator = ResnetGenerator(HORSE2ZEBRA)
    state = random_state(generator, seed)
    torch.save(state | tracked_statistics(generator), folder / "latest_net_G.pth", _use_new_zipfile_serialization=False)
    return folder / "latest_net_G.pth"


def write_pair(folder: Path, generator: Generator, seed: int = 0, epoch: str = "latest") -> Path:
    """Write both directions as training saves them; the result is the folder."""
    for number, network in enumerate(("G_A", "G_B")):
        torch.save(random_state(generator, seed + number), folder / f"{epoch}_net_{network}.pth")
    return folder


def random_state(generator: Generator, seed: int = 0) -> State:
    """Weights as training starts with them, but with biases, and statistics that batch norms may have learnt."""
    draws = torch.Generator().manual_seed(seed)
    state = {name: torch.randn(value.shape, generator=draws) for name, value in generator.state_dict().items()}
    for name, value in state.items():
        is_norm = name.replace(".bias", ".weight") in state and state[name.replace(".bias", ".weight")].ndim == 1
        if name.endswith("running_var"):
            value.abs_().add_(0.5)
        elif name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(1000)
        elif is_norm:
            value.mul_(0.2).add_(float(name.endswith(".weight")))
        elif not name.endswith("running_mean"):
            # One number for all layers, as in training; narrow networks need more for pictures of some contrast.
            value.mul_(0.02 * (64 / generator.layout.width) ** 0.5)
    return state


def tracked_statistics(generator: Generator, seed: int = 0) -> State:
    """What instance norms kept until PyTorch 0.4: of the channels of the convolutions before them."""
    draws = torch.Generator().manual_seed(seed)
    state: State = {}
    channels = 0
    for name, module in generator.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            channels = module.out_channels
        elif isinstance(module, PerImageNorm):
            state[f"{name}.running_mean"] = torch.randn(channels, generator=draws)
            state[f"{name}.running_var"] = torch.rand(channels, generator=draws)
            state[f"{name}.num_batches_tracked"] = torch.tensor(0)
    return state
