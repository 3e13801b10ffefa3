"""Generators in the files of genforce and of InterFaceGAN, its predecessor, under genforce's names.

genforce keeps {generator, discriminator, generator_smooth}, and in the midst of a training {models: {...}}; the
averaged `generator_smooth` is the one to use. InterFaceGAN keeps a bare state dict with names of its own.
"""

import re
from pathlib import Path

import torch

from pellucid_export.containers import checkpoints
from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError

_WRAPPERS = ("models", "generator_smooth", "generator", "state_dict")
# 2048 pixels.
_MOST_BLOCKS = 10

# What InterFaceGAN's names have beyond genforce's.
_RENAMED = (
    (r"\.style_mod\.dense\.", ".style."),
    (r"\.epilogue\.", "."),
    (r"\.(conv|linear|wscale)\.", "."),
    (r"\.first_layer$", ".const"),
)


def read(path: Path) -> State:
    """The state of the generator as it is in the file. Raises CheckpointError as `checkpoints.load_state` does."""
    return checkpoints.load_state(path, _WRAPPERS)


def shape(state: State, name: str, axes: int, what: str) -> tuple[int, ...]:
    """The shape of a tensor that a network cannot be told without; `what` is its name.

    Raises CheckpointError where there is no such tensor, or it has not as many axes.
    """
    tensor = state.get(name)
    if tensor is not None and tensor.ndim == axes:
        return tuple(tensor.shape)
    found = f"it is {tuple(tensor.shape)}" if tensor is not None else f"found are {', '.join(sorted(state)[:5])}"
    raise CheckpointError(f"not a {what}: a tensor {name} of {axes} axes is expected; {found}")


def blocks(state: State, prefix: str, what: str) -> int:
    """How many resolutions a generator has, told by its ways to colours, `<prefix>output<block>`.

    Raises CheckpointError where it has none, or more than any published one.
    """
    pattern = re.compile(re.escape(prefix) + r"output\d+\.weight")
    found = sum(pattern.fullmatch(name) is not None for name in state)
    if not found:
        shape(state, f"{prefix}output0.weight", 4, what)
    if found > _MOST_BLOCKS:
        raise CheckpointError(f"not a {what}: it has {found} outputs, at most {_MOST_BLOCKS} are expected")
    return found


def is_interfacegan(state: State) -> bool:
    """Whether a state has InterFaceGAN's names."""
    return any(".wscale." in name for name in state)


def from_interfacegan(state: State) -> State:
    """A state under genforce's names, its fused kernels (3, 3, in, out) turned into plain ones (out, in, 3, 3)."""
    return {_renamed(name): _unfused(name, tensor) for name, tensor in state.items()}


def unfused(kernel: torch.Tensor) -> torch.Tensor:
    """The kernel (out, in, 3, 3) that does after nearest-neighbour upsampling what a fused one (out, in, 3, 3) does.

    The fused layer is a transposed convolution with the sum of four shifted copies of its kernel: a true
    convolution, where the plain layer is a correlation.
    """
    return kernel.flip(2, 3)


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def _unfused(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Only fused kernels have no part `.conv` in their names."""
    is_fused = re.search(r"layer\d+\.weight$", name) is not None and tensor.ndim == 4
    return unfused(tensor.permute(3, 2, 0, 1)) if is_fused else tensor
