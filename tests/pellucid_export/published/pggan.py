"""A file as genforce publishes pg-GAN, of the 1024 pixels of CelebA-HQ, with random weights."""

from pathlib import Path

import torch

from pellucid_export.containers.checkpoints import State
from pellucid_export.families.pggan import Generator, Plan
from pellucid_export.networks.growing import Growth

CELEBAHQ = Plan(
    latent=512,
    classes=0,
    scales_latent_alone=True,
    channels=3,
    widths=(512, 512, 512, 512, 256, 128, 64, 32, 16),
)


def write(folder: Path, seed: int = 0) -> Path:
    """Write pggan_celebahq1024.pth to `folder`."""
    path = folder / "pggan_celebahq1024.pth"
    torch.save({"generator": {}, "discriminator": {}, "generator_smooth": weights(CELEBAHQ, seed)}, path)
    return path


def weights(plan: Plan, seed: int = 0) -> State:
    """Random weights as they are stored, under genforce's names, of a finished generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state: State = Generator(plan, Growth(len(plan.widths), 0.0), "uint8").state_dict()
        return {name: _random(name, value) for name, value in state.items()}


def _random(name: str, value: torch.Tensor) -> torch.Tensor:
    spread = 0.0 if name == "lod" else 1.0 if name.startswith("layer") and name.endswith("weight") else 0.1
    return torch.randn_like(value) * spread
