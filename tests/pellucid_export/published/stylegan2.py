"""StyleGAN 2 as stylegan2-ada-pytorch publishes it for FFHQ at 1024 x 1024: `ffhq.pkl`, with random weights."""

import pickle
import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from pellucid_export.containers.checkpoints import State
from pellucid_export.containers.stylegan2_layout import W_AVERAGE, Plan
from pellucid_export.families.stylegan2 import Generator

FFHQ = Plan(
    latent=512,
    classes=0,
    embedding=0,
    hidden=512,
    depth=8,
    width=512,
    colours=3,
    widths=(512, 512, 512, 512, 512, 256, 128, 64, 32),
)
CLAMP = 256


def write(folder: Path, seed: int = 0) -> Path:
    """Write a snapshot with the averaged generator alone."""
    path = folder / "ffhq.pkl"
    write_snapshot(path, {"G_ema": random_state(FFHQ, seed)})
    return path


def random_state(plan: Plan, seed: int) -> State:
    """Weights as training starts with them, under stylegan2-ada-pytorch's names, but with noise and a darker image."""
    random = torch.Generator().manual_seed(seed)
    shapes = {name: value.shape for name, value in Generator(plan, CLAMP).state_dict().items()}
    state = {name: torch.randn(shape, generator=random) for name, shape in shapes.items()}
    for name, value in state.items():
        if name.endswith("affine.bias"):
            value.fill_(1)
        elif name.endswith((".bias", ".noise_strength", ".torgb.weight")):
            value.mul_(0.1)
        elif name.startswith("mapping.fc"):
            value.mul_(100)
    state["mapping.w_avg"] = state.pop(W_AVERAGE) * 0.1
    return state


def write_snapshot(path: Path, networks: Mapping[str, State], source: str = "", **settings: object) -> None:
    """Write a snapshot as Python 3.7 does, whose loader runs `source`; `settings` are those of all its layers."""
    content = {name: _Module(state, {"conv_clamp": CLAMP, **settings}, source) for name, state in networks.items()}
    with pytest.MonkeyPatch.context() as patch, path.open("wb") as file:
        # A pickle can only name what is found under that name when it is written.
        for found in (_reconstruct_persistent_obj, EasyDict):
            module = ModuleType(found.__module__)
            patch.setitem(sys.modules, found.__module__.partition(".")[0], ModuleType("package"))
            patch.setitem(sys.modules, found.__module__, module)
            setattr(module, found.__name__, found)
        pickle.dump({"training_set_kwargs": EasyDict(path="ffhq.zip"), **content, "augment_pipe": None}, file, 3)


class EasyDict(dict[str, object]):
    """The settings of a data set."""

    __module__ = "dnnlib.util"


def _reconstruct_persistent_obj(meta: object) -> None:
    """Never called: snapshots name it."""


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


class _Module:
    """A module as it is pickled."""

    def __init__(self, state: State, settings: Mapping[str, object], source: str) -> None:
        parts = {name.partition(".")[0] for name in state if "." in name}
        inner = {part: {k.partition(".")[2]: v for k, v in state.items() if k.startswith(f"{part}.")} for part in parts}
        attributes = {
            "_parameters": {name: nn.Parameter(value) for name, value in state.items() if "." not in name},
            "_buffers": OrderedDict(),
            "_non_persistent_buffers_set": set(),
            "_modules": OrderedDict((part, _Module(inner[part], settings, source)) for part in sorted(inner)),
            **settings,
        }
        self._meta = {"type": "class", "version": 6, "module_src": source, "class_name": "Any", "state": attributes}

    def __reduce__(self) -> tuple[object, ...]:
        return _reconstruct_persistent_obj, (self._meta,)
