"""A file as genforce publishes StyleGAN, of the 1024 pixels of FFHQ, with random weights."""

from pathlib import Path

import torch

from pellucid_export.containers.checkpoints import State
from pellucid_export.families.stylegan import Plan
from pellucid_export.networks.growing import Growth
from pellucid_export.networks.stylegan_networks import Generator, Mapping, Synthesis

FFHQ = Plan(mapping=(512,) * 9, classes=0, channels=(512, 512, 512, 512, 256, 128, 64, 32, 16), colours=3)

_BLUR = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16


def write(folder: Path, seed: int = 0) -> Path:
    """Write stylegan_ffhq1024.pth to `folder`."""
    path = folder / "stylegan_ffhq1024.pth"
    torch.save({"generator": {}, "discriminator": {}, "generator_smooth": weights(FFHQ, seed)}, path)
    return path


def weights(plan: Plan, seed: int = 0) -> State:
    """Random weights as they are stored, under genforce's names, of a finished generator."""
    synthesis = Synthesis(plan.channels, plan.width, Growth(len(plan.channels), 0.0), plan.colours)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = Generator(Mapping(plan.mapping, plan.classes, plan.layers), synthesis, plan.width).state_dict()
        return {name: _random(name, value) for name, value in state.items()}


def _random(name: str, value: torch.Tensor) -> torch.Tensor:
    if name.endswith("blur.kernel"):
        return _BLUR.expand_as(value).clone()
    if name.endswith(".lod"):
        return value
    # The mapping network's small learning rate keeps its weights large; noise, biases and colours are small.
    is_small = name.endswith((".bias", "noise.weight")) or "output" in name
    spread = 100.0 if name.startswith("mapping.dense") else 0.1 if is_small else 1.0
    return torch.randn_like(value) * spread
