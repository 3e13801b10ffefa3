"""Anybody's image classifier in ONNX, described by a TOML file of the same name beside it.

    # smile.toml, beside smile.onnx; everything but the labels has a default
    labels = ["smiling", { name = "age", kind = "quantity", unit = "years" }]    # or "celeba40"
    activation = "sigmoid"          # none (default), sigmoid, softmax, or signed: values in [-1, 1] like TL-GAN's
    mean = [127.5, 127.5, 127.5]    # the network gets (value - mean) * scale of 8-bit values; default [0]
    scale = [0.00784313725]         # default [1]
    colour = "bgr"                  # rgb (default), bgr or grey
    layout = "nhwc"                 # nchw (default) or nhwc
    size = [128, 128]               # (height, width) the network takes, where the file leaves it open
    image = [64, 64]                # (height, width) of the images to be classified; default [64, 64]
    output = "probabilities"        # where the network has several outputs

Labels are probabilities unless they say otherwise; those of `signed` are quantities.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

from pellucid.v1.model_pb2 import LABEL_KIND_PROBABILITY, LABEL_KIND_QUANTITY, TASK_CLASSIFY, Label, Model
from pellucid_export import runtime
from pellucid_export.datasets import celeba
from pellucid_export.errors import CheckpointError
from pellucid_export.family import Family, Network
from pellucid_export.networks import image_classifier
from pellucid_export.networks.image_classifier import Head, View

PRESETS: Mapping[str, tuple[str, ...]] = {"celeba40": tuple(name.lower() for name in celeba.ATTRIBUTES)}
"""Sets of labels that have a name."""

_KEYS = ("labels", "activation", "mean", "scale", "colour", "layout", "size", "image", "output")
_COLOURS = {"rgb": image_classifier.RGB, "bgr": image_classifier.BGR, "grey": image_classifier.GREY}
_LAYOUTS = {"nchw": False, "nhwc": True}
# Sigmoid comes after the boxes' average; softmax needs all scores of one image and comes before.
_TAILS = {"softmax": "scores = Softmax<axis=-1>(flat)"}
_LINKS = {"sigmoid": "labels = Sigmoid(mean_scores)"}
_ACTIVATIONS = ("none", "sigmoid", "softmax", "signed")
_KINDS = {"probability": LABEL_KIND_PROBABILITY, "quantity": LABEL_KIND_QUANTITY}
_TOLERANCE = 1e-3

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Options:
    """`labels`: names with commas between, or a preset; instead of those in the TOML file."""

    labels: str = ""


def load(path: Path, options: Options) -> Network:
    """Read FILE.onnx, or the only one in a folder, and FILE.toml."""
    file = _only_file(path)
    network, config = image_classifier.read(file), _config(file.with_suffix(".toml"))
    labels = _labels(options.labels or config.get("labels", ""), config.get("activation", "none"))
    height, width = _pair(config, "image", (64, 64))
    graph = image_classifier.assemble((_head(network, config, len(labels), (height, width)),), (height, width))
    _check_labels(file.name, graph, len(labels))
    card = Model(task=TASK_CLASSIFY, height=height, width=width, labels=labels)
    return Network((image_classifier.stage(graph, _TOLERANCE),), card, image_classifier.digest(graph))


def _only_file(path: Path) -> Path:
    files = [path] if path.is_file() else sorted(path.glob("*.onnx"))
    if len(files) != 1:
        raise CheckpointError(f"{path}: one .onnx file is expected, found {len(files)}")
    return files[0]


def _config(path: Path) -> Config:
    if not path.exists():
        return {}
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CheckpointError(f"{path.name}: {error}") from error
    unknown = sorted(set(config) - set(_KEYS))
    if unknown:
        raise CheckpointError(f"{path.name}: unknown key '{unknown[0]}'; known are {', '.join(_KEYS)}")
    return config


def _head(network: ModelProto, config: Config, labels: int, image: tuple[int, int]) -> Head:
    activation = _choice(config, "activation", _ACTIVATIONS)
    is_channels_last = _LAYOUTS[_choice(config, "layout", tuple(_LAYOUTS))]
    view = View(
        _pair(config, "size", _size(network, is_channels_last)),
        boxes=((0, 0, image[1], image[0]),),
        colours=_COLOURS[_choice(config, "colour", tuple(_COLOURS))],
        mean=_numbers(config, "mean", 0.0),
        scale=_numbers(config, "scale", 1.0),
        channels_last=is_channels_last,
    )
    tail = "flat = Flatten<axis=1>(output) " + _TAILS.get(activation, "scores = Identity(flat)")
    link = _LINKS.get(activation, "labels = Identity(mean_scores)")
    return Head(network, view, labels, tail, link, output=config.get("output", ""))


def _labels(given: object, activation: str) -> list[Label]:
    if isinstance(given, str):
        given = list(PRESETS.get(given, tuple(name.strip() for name in given.split(",") if name.strip())))
    if not isinstance(given, list) or not given:
        raise CheckpointError(f"labels must be a list, names with commas between, or one of {', '.join(PRESETS)}")
    kind = "quantity" if activation == "signed" else "probability"
    return [_label(one if isinstance(one, dict) else {"name": one}, kind) for one in given]


def _check_labels(file: str, graph: ModelProto, labels: int) -> None:
    """Run one black image: few files say how many scores their network gives."""
    image = np.zeros((1, *(axis.dim_value for axis in graph.graph.input[0].type.tensor_type.shape.dim[1:])), np.uint8)
    try:
        found = runtime.open_onnx(graph.SerializeToString())({"image": image})["labels"].shape
    except Exception as error:
        # NOTE: ONNX Runtime documents no set of errors for graphs that it cannot load or run.
        raise CheckpointError(f"{file}: does not run as described, with {labels} labels: {error}") from error
    if found != (1, labels):
        raise CheckpointError(f"{file}: gives {found[0] * labels} scores, {labels} labels are named")


def _label(given: Mapping[str, Any], kind: str) -> Label:
    chosen = given.get("kind", kind)
    if not isinstance(given.get("name"), str) or chosen not in _KINDS or set(given) - {"name", "kind", "unit"}:
        raise CheckpointError(
            f"label {dict(given)} must have a name and may have a unit and a kind: {', '.join(_KINDS)}"
        )
    return Label(name=given["name"], kind=_KINDS[chosen], unit=given.get("unit", ""))


def _size(network: ModelProto, is_channels_last: bool) -> tuple[int, int] | None:
    axes = image_classifier.image_input(network).type.tensor_type.shape.dim
    height, width = (axes[1], axes[2]) if is_channels_last else (axes[2], axes[3])
    return (height.dim_value, width.dim_value) if height.dim_value and width.dim_value else None


def _choice(config: Config, key: str, known: tuple[str, ...]) -> str:
    value = config.get(key, known[0])
    if value not in known:
        raise CheckpointError(f"{key} must be one of {', '.join(known)}, not {value!r}")
    return str(value)


def _pair(config: Config, key: str, default: tuple[int, int] | None) -> tuple[int, int]:
    value = config.get(key, default)
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(type(n) is int and n > 0 for n in value):
        raise CheckpointError(f"{key} must be [height, width] in pixels, not {value!r}")
    return value[0], value[1]


def _numbers(config: Config, key: str, default: float) -> tuple[float, ...]:
    value = config.get(key, [default])
    if not isinstance(value, list) or len(value) not in (1, 3) or not all(type(n) in (int, float) for n in value):
        raise CheckpointError(f"{key} must be a list of one number or three, not {value!r}")
    return tuple(float(number) for number in value)


FAMILY = Family(
    name="onnx_classifier",
    description="An image classifier of your own, with a TOML file that says what it sees and gives",
    containers=("FILE.onnx with FILE.toml beside it",),
    options=Options,
    load=load,
)
