"""Convolutional networks in Keras' whole-model HDF5 format, rebuilt in torch from the configuration in the file.

Only the layers in `_BUILDERS` are known, and of those only what is checked here; anything else is refused by name.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pellucid_export.errors import CheckpointError

Config = Mapping[str, Any]
Weights = Mapping[str, torch.Tensor]


class KerasNetwork(nn.Module):
    """A graph of layers; images (N, C, H, W) to the output of its last layer.

    `wiring` has a (layer, inputs) pair a layer, in an order in which inputs come first; "" is the network's input.
    """

    def __init__(self, layers: Mapping[str, nn.Module], wiring: list[tuple[str, list[str]]], output: str) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self._wiring = wiring
        self._output = output

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Run every layer once."""
        values = {"": image}
        for name, inputs in self._wiring:
            values[name] = self.layers[name](*(values[source] for source in inputs))
        return values[self._output]


def read(path: Path) -> tuple[KerasNetwork, tuple[int, int, int]]:
    """The network in eval mode and its input's (height, width, channels). Raises CheckpointError."""
    try:
        with h5py.File(path) as file:
            config = json.loads(file.attrs["model_config"])["config"]
            return _network(config, file["model_weights"])
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path.name}: not a Keras network in HDF5: {error}") from error


def _network(config: Config, groups: h5py.Group) -> tuple[KerasNetwork, tuple[int, int, int]]:
    first = config["input_layers"][0][0]
    layers: dict[str, nn.Module] = {}
    wiring: list[tuple[str, list[str]]] = []
    size = (0, 0, 0)
    for layer in config["layers"]:
        name, kind = layer["name"], layer["class_name"]
        if kind == "InputLayer":
            size = tuple(layer["config"]["batch_input_shape"][1:])
            continue
        if kind not in _BUILDERS:
            raise CheckpointError(f"layer '{name}' is a {kind}; known are {', '.join(_BUILDERS)}")
        layers[name] = _built(kind, layer["config"], _weights(groups[name]))
        sources = [source[0] for node in layer["inbound_nodes"] for source in node]
        wiring.append((name, ["" if source == first else source for source in sources]))
    return KerasNetwork(layers, wiring, config["output_layers"][0][0]).eval(), size


def _weights(group: h5py.Group) -> Weights:
    names = [name.decode() if isinstance(name, bytes) else name for name in group.attrs["weight_names"]]
    return {
        name.rsplit("/", 1)[-1].removesuffix(":0"): torch.from_numpy(np.asarray(group[name], np.float32))
        for name in names
    }


def _built(kind: str, config: Config, weights: Weights) -> nn.Module:
    unusual = [
        f"{key} {config[key]!r}"
        for key, usual in _USUAL.items()
        if key in config and config[key] != usual and not (kind == "Activation" and key == "activation")
    ]
    if unusual:
        raise CheckpointError(f"layer '{config['name']}' has {', '.join(unusual)}")
    return _BUILDERS[kind](config, weights)


_USUAL = {
    "data_format": "channels_last",
    "dilation_rate": [1, 1],
    "activation": "linear",
    "depth_multiplier": 1,
    "axis": -1,
    "scale": True,
    "center": True,
}


class _Padded(nn.Module):
    """Keras' padding before a layer: with "same" the odd pixel comes after, at the right and at the bottom."""

    def __init__(self, layer: nn.Module, config: Config, kernel: list[int], value: float) -> None:
        super().__init__()
        self.layer = layer
        self._kernel, self._strides = kernel, config["strides"]
        self._is_same = config["padding"] == "same"
        self._value = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self._is_same:
            top, bottom = self._amounts(x.shape[2], 0)
            left, right = self._amounts(x.shape[3], 1)
            x = functional.pad(x, (left, right, top, bottom), value=self._value)
        padded: torch.Tensor = self.layer(x)
        return padded

    def _amounts(self, length: int, axis: int) -> tuple[int, int]:
        stride, kernel = self._strides[axis], self._kernel[axis]
        total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
        return total // 2, total - total // 2


class _Add(nn.Module):
    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return first + second


class _MeanOfPixels(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


def _convolution(config: Config, weights: Weights) -> nn.Module:
    kernel = weights["kernel"].permute(3, 2, 0, 1)  # (out, in, h, w)
    return _Padded(_conv2d(kernel, weights.get("bias"), config["strides"], 1), config, config["kernel_size"], 0.0)


def _separable(config: Config, weights: Weights) -> nn.Module:
    depthwise = weights["depthwise_kernel"].permute(2, 3, 0, 1)  # (in, 1, h, w)
    pointwise = weights["pointwise_kernel"].permute(3, 2, 0, 1)  # (out, in, 1, 1)
    layer = nn.Sequential(
        _conv2d(depthwise, None, config["strides"], depthwise.shape[0]),
        _conv2d(pointwise, weights.get("bias"), [1, 1], 1),
    )
    return _Padded(layer, config, config["kernel_size"], 0.0)


def _conv2d(kernel: torch.Tensor, bias: torch.Tensor | None, strides: list[int], groups: int) -> nn.Conv2d:
    out, per_group, height, width = kernel.shape
    layer = nn.Conv2d(
        per_group * groups, out, (height, width), (strides[0], strides[1]), groups=groups, bias=bias is not None
    )
    layer.load_state_dict({"weight": kernel, **({} if bias is None else {"bias": bias})})
    return layer


def _norm(config: Config, weights: Weights) -> nn.Module:
    layer = nn.BatchNorm2d(len(weights["gamma"]), eps=config["epsilon"])
    names = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    layer.load_state_dict({ours: weights[theirs] for ours, theirs in names.items()}, strict=False)
    return layer


def _activation(config: Config, _weights: Weights) -> nn.Module:
    known = {"relu": nn.ReLU(), "softmax": nn.Softmax(dim=1)}
    if config["activation"] not in known:
        raise CheckpointError(f"layer '{config['name']}' has the activation {config['activation']!r}")
    return known[config["activation"]]


def _max_pool(config: Config, _weights: Weights) -> nn.Module:
    size = (config["pool_size"][0], config["pool_size"][1])
    pool = nn.MaxPool2d(size, (config["strides"][0], config["strides"][1]))
    return _Padded(pool, config, config["pool_size"], -float("inf"))


_BUILDERS: Mapping[str, Callable[[Config, Weights], nn.Module]] = {
    "Conv2D": _convolution,
    "SeparableConv2D": _separable,
    "BatchNormalization": _norm,
    "Activation": _activation,
    "MaxPooling2D": _max_pool,
    "Add": lambda _config, _weights: _Add(),
    "GlobalAveragePooling2D": lambda _config, _weights: _MeanOfPixels(),
}
