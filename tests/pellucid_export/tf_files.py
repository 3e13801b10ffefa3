"""Pickles as NVIDIA's TensorFlow code writes them."""

import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

PROGRESSIVE = "tfutil"
STYLE = "dnnlib.tflib.network"

State = Mapping[str, Any]


def network(
    function: str,
    variables: Mapping[str, torch.Tensor],
    settings: Mapping[str, object] | None = None,
    components: Mapping[str, State] | None = None,
    source: str = "",
) -> State:
    """What a network is pickled as."""
    return {
        "version": 3,
        "name": function,
        "static_kwargs": dict(settings or {}),
        "components": dict(components or {}),
        "build_module_src": source,
        "build_func_name": function,
        "variables": [(name, value.numpy()) for name, value in variables.items()],
    }


def write(path: Path, module: str, generator: State | object) -> Path:
    """Write the tuple (G, D, Gs) with the class `Network` of that module; G and D have no variables."""
    kind = type("Network", (), {"__module__": module, "__getstate__": lambda self: self.kept})
    empty = network("G_paper", {})

    def made(state: object) -> object:
        result = kind()
        result.kept = state
        if isinstance(state, dict) and state.get("components"):
            result.kept = {**state, "components": {name: made(part) for name, part in state["components"].items()}}
        return result

    names = [module[:end] for end in (index for index, char in enumerate(module + ".") if char == ".")]
    modules = {name: ModuleType(name) for name in names}
    modules[module].Network = kind
    sys.modules |= modules
    try:
        path.write_bytes(pickle.dumps((made(empty), made(empty), made(generator))))
    finally:
        for name in modules:
            del sys.modules[name]
    return path
