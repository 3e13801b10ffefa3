"""Spectral norms, folded into the weights that they divide (Miyato et al., "Spectral normalization for GANs", 2018).

Two implementations store different things, and what stands beside a weight tells them apart:

- `torch.nn.utils.spectral_norm` stores `weight_orig`, `weight_u` and `weight_v`. Evaluation divides by u . (W v) with
  the stored vectors, converged or not. Old files have a `weight` as well, which nothing reads.
- BigGAN-PyTorch stores `weight`, `u0` and `sv0`. Evaluation, too, makes one power iteration from u0 and divides by
  what that gives; `sv0` is a record of training, which nothing reads.

W is the weight as a matrix of one row an output.
"""

import re

import torch
from torch.nn import functional

from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError

_BESIDE = re.compile(r"(?P<layer>.+)\.(?:weight_(?:orig|u|v)|(?:u|sv)\d+)")


def fold(state: State) -> State:
    """The state with plain float32 weights in place of what either implementation stores.

    Raises CheckpointError where a part is missing or has not the size that its weight asks for.
    """
    folded = {name: tensor for name, tensor in state.items() if not _BESIDE.fullmatch(name)}
    layers = {found["layer"]: None for name in state if (found := _BESIDE.fullmatch(name))}
    for layer in layers:
        folded[f"{layer}.weight"] = _weight(state, layer)
    return folded


def _weight(state: State, layer: str) -> torch.Tensor:
    is_stored = any(f"{layer}.weight_{part}" in state for part in ("orig", "u", "v"))
    weight = _part(state, f"{layer}.weight_orig" if is_stored else f"{layer}.weight")
    if weight.ndim < 2:
        raise CheckpointError(f"the weight of {layer} is {tuple(weight.shape)}, which has no spectral norm")
    matrix = weight.flatten(1)
    rows, columns = matrix.shape
    if is_stored:
        right = _part(state, f"{layer}.weight_v", columns)
        return weight / (_part(state, f"{layer}.weight_u", rows) @ (matrix @ right))
    right = functional.normalize(_part(state, f"{layer}.u0", rows) @ matrix, dim=0)
    # The iteration ends with u = W v / |W v|, so that u . (W v) is the length of W v.
    norm: torch.Tensor = torch.linalg.vector_norm(matrix @ right)
    return weight / norm


def _part(state: State, name: str, size: int | None = None) -> torch.Tensor:
    if name not in state:
        raise CheckpointError(f"a weight with a spectral norm lacks {name}")
    tensor = state[name].float()
    if size is not None and tensor.numel() != size:
        raise CheckpointError(f"{name} has {tensor.numel()} numbers, the weight beside it asks for {size}")
    return tensor.flatten() if size is not None else tensor
