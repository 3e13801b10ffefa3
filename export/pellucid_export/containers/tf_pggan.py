"""Progressive GAN's generator as NVIDIA's TensorFlow code keeps it, under genforce's names."""

import re

import torch

from pellucid_export.containers.checkpoints import State
from pellucid_export.containers.genforce import unfused
from pellucid_export.containers.tf_pickle import SIZES, TfNetwork, weight

# What the function was built with, where another value makes another network; the first is its default.
_SETTINGS: dict[str, tuple[object, ...]] = {
    "normalize_latents": (True,),
    "use_wscale": (True,),
    "use_pixelnorm": (True,),
    "pixelnorm_epsilon": (1e-8,),
    "use_leakyrelu": (True,),
}


def state(network: TfNetwork) -> State:
    """The generator's state. Raises CheckpointError for a network that was built with other settings.

    Names that are not progressive GAN's stay as they are.
    """
    for name, allowed in _SETTINGS.items():
        network.setting(name, allowed)
    outputs = sum(re.fullmatch(r"ToRGB_lod\d+/weight", name) is not None for name in network.variables)
    return {_name(name, outputs): _tensor(name, variable) for name, variable in network.variables.items()}


def _name(name: str, outputs: int) -> str:
    found = re.fullmatch(r"(\w+)/(Dense|Conv0|Conv0_up|Conv|Conv1)/(weight|bias)", name)
    if found and found[1] in SIZES:
        return f"layer{2 * SIZES[found[1]] + (found[2] in ('Conv', 'Conv1'))}.{found[3]}"
    if found := re.fullmatch(r"ToRGB_lod(\d+)/(weight|bias)", name):
        return f"output{outputs - 1 - int(found[1])}.{found[2]}"
    return name


def _tensor(name: str, variable: torch.Tensor) -> torch.Tensor:
    if name == "4x4/Dense/weight" and variable.ndim == 2 and variable.shape[1] % 16 == 0:
        # A convolution that pads its 1 x 1 input reads its kernel mirrored.
        return variable.reshape(len(variable), -1, 4, 4).transpose(0, 1).flip(2, 3)
    if name.endswith("/Conv0_up/weight"):
        # NOTE: this one is kept (3, 3, out, in), as TensorFlow's transposed convolution takes it.
        return unfused(variable.permute(2, 3, 0, 1)) if variable.ndim == 4 else variable
    return weight(variable) if name.endswith("/weight") else variable
