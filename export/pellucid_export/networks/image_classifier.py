"""A classifier as one ONNX graph, around networks that somebody else trained.

image (N, H, W, 3) uint8 RGB
  -> each head's view: crops, resized; colours, mean and scale, layout
  -> each head's network
  -> each head's tail: from the network's output to scores; crops are averaged; then the link to labels
  -> labels (N, K) float32, the heads' side by side
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    compose,
    helper,
    numpy_helper,
    parser,
)

from pellucid_export.errors import CheckpointError
from pellucid_export.family import Signature, Stage, Tensor
from pellucid_export.networks import resampling

Box = tuple[float, float, float, float]
Constants = Mapping[str, npt.NDArray[np.generic]]

GREY = ((0.299, 0.587, 0.114),)
RGB = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
BGR = RGB[::-1]

_OLDEST_OPSET = 13
_STANDARD = ("", "ai.onnx")


@dataclass(frozen=True)
class View:
    """How a network sees the image.

    `size` is (height, width) of the network's input and a box the (left, top, right, bottom) of the image that fills
    it, in pixels of the image; left and right exchanged show it mirrored. With several boxes the network sees the
    image several times. `colours` has a row of RGB weights for each channel. The network gets
    (value - mean) * scale of 8-bit values.
    """

    size: tuple[int, int]
    boxes: tuple[Box, ...]
    colours: tuple[tuple[float, float, float], ...] = RGB
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    channels_last: bool = False


@dataclass(frozen=True)
class Head:
    """A network with one image input, what it sees and how its output becomes labels.

    `tail` is ONNX text that makes `scores` (M, labels) of `output`, using `constants`; the scores of all
    boxes are averaged, and `link` makes `labels` of the mean. `output` names the network's output where it has several.
    """

    network: ModelProto
    view: View
    labels: int
    tail: str = "scores = Identity(output)"
    link: str = "labels = Identity(mean_scores)"
    output: str = ""
    constants: Constants = field(default_factory=dict)


def assemble(heads: Sequence[Head], image_size: tuple[int, int]) -> ModelProto:
    """The graph from `image` (N, *image_size, 3) to `labels` (N, K).

    Raises CheckpointError where a network has not one input with a free batch axis, or an opset that is too old or
    another head's.
    """
    opset = _common_opset([head.network for head in heads])
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []
    for index, head in enumerate(heads):
        part = compose.add_prefix_graph(_graph(head, image_size), f"head{index}_")
        nodes += [helper.make_node("Identity", ["image"], [f"head{index}_image"]), *part.node]
        weights += part.initializer
    nodes.append(helper.make_node("Concat", [f"head{index}_labels" for index in range(len(heads))], ["labels"], axis=1))
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", *image_size, 3])],
        [helper.make_tensor_value_info("labels", TensorProto.FLOAT, ["batch", sum(head.labels for head in heads)])],
        weights,
    )
    foreign = {o.domain: o for head in heads for o in head.network.opset_import if o.domain not in _STANDARD}
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), *foreign.values()])
    model.ir_version = max(head.network.ir_version for head in heads)
    return model


def _graph(head: Head, image_size: tuple[int, int]) -> GraphProto:
    """The head's own graph, from `image` to `labels`, without declared inputs and outputs."""
    given, output = _tensors(head)
    average = 'parts = Reshape(scores, parted) mean_scores = Einsum<equation="snk,s->nk">(parts, shares)'
    before = parser.parse_graph(f"before (uint8[n] image) => (float[n] seen) {{ {_view_text(head.view)} }}")
    after = parser.parse_graph(f"after (float[m] output) => (float[m] labels) {{ {head.tail} {average} {head.link} }}")
    # The prefix keeps the network's names apart from ours.
    network = compose.add_prefix_graph(head.network.graph, "network_")
    nodes = [
        *before.node,
        helper.make_node("Identity", ["seen"], [f"network_{given}"]),
        *network.node,
        helper.make_node("Identity", [f"network_{output}"], ["output"]),
        *after.node,
    ]
    constants = {
        **_view_constants(head.view, image_size),
        "parted": np.array([len(head.view.boxes), -1, head.labels]),
        "shares": np.full(len(head.view.boxes), 1 / len(head.view.boxes), np.float32),
        **head.constants,
    }
    tensors = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()]
    return helper.make_graph(nodes, "head", [], [], [*network.initializer, *tensors])


def image_input(network: ModelProto) -> ValueInfoProto:
    """The network's only input. Raises CheckpointError where it has another number, or a fixed batch."""
    weights = {initializer.name for initializer in network.graph.initializer}
    inputs = [value for value in network.graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise CheckpointError(f"a network with one input is expected, it has {[value.name for value in inputs]}")
    shape = inputs[0].type.tensor_type.shape.dim
    if len(shape) != 4 or shape[0].HasField("dim_value"):
        raise CheckpointError(
            f"input '{inputs[0].name}' must have four axes, the first (the batch) without a fixed length"
        )
    return inputs[0]


def _tensors(head: Head) -> tuple[str, str]:
    outputs = [value.name for value in head.network.graph.output]
    chosen = head.output or outputs[0]
    if chosen not in outputs or (len(outputs) > 1 and not head.output):
        raise CheckpointError(f"the output must be named, one of {', '.join(outputs)}; given is '{head.output}'")
    return image_input(head.network).name, chosen


def _common_opset(networks: Sequence[ModelProto]) -> int:
    opsets = {o.version for network in networks for o in network.opset_import if o.domain in _STANDARD}
    if len(opsets) != 1 or min(opsets) < _OLDEST_OPSET:
        raise CheckpointError(f"one opset from {_OLDEST_OPSET} on is needed, found {sorted(opsets)}")
    return opsets.pop()


def _view_text(view: View) -> str:
    boxes = range(len(view.boxes))
    steps = [
        "values = Cast<to=1>(image)",
        "planes = Transpose<perm=[0, 3, 1, 2]>(values)",
        'mixed = Einsum<equation="dc,nchw->ndhw">(colours, planes)',
        *(f"narrowed{box} = MatMul(rows{box}, mixed) crop{box} = MatMul(narrowed{box}, columns{box})" for box in boxes),
        f"crops = Concat<axis=0>({', '.join(f'crop{box}' for box in boxes)})",
        "centred = Sub(crops, mean)",
        "scaled = Mul(centred, scale)",
        f"seen = {'Transpose<perm=[0, 2, 3, 1]>' if view.channels_last else 'Identity'}(scaled)",
    ]
    return " ".join(steps)


def _view_constants(view: View, image_size: tuple[int, int]) -> Constants:
    constants: dict[str, npt.NDArray[np.generic]] = {
        "colours": np.array(view.colours, np.float32),
        "mean": np.array(view.mean, np.float32).reshape(1, -1, 1, 1),
        "scale": np.array(view.scale, np.float32).reshape(1, -1, 1, 1),
    }
    for index, (left, top, right, bottom) in enumerate(view.boxes):
        constants[f"rows{index}"] = resampling.matrix(image_size[0], view.size[0], top, bottom)
        constants[f"columns{index}"] = resampling.matrix(image_size[1], view.size[1], left, right).T
    return constants


def stage(graph: ModelProto, tolerance: float) -> Stage:
    """The graph as a classifier's only stage; `tolerance` is the largest error of a label."""
    given, labels = graph.graph.input[0], graph.graph.output[0]
    signature = Signature(
        inputs=(Tensor("image", "uint8", _shape(given), low=0, high=255),),
        outputs=(Tensor("labels", "float32", _shape(labels), tolerance=tolerance),),
    )
    return Stage("classifier", graph, signature)


def digest(graph: ModelProto) -> str:
    """SHA-256 of the whole graph: what surrounds the networks decides the labels as much as their weights."""
    return f"sha256:{hashlib.sha256(graph.SerializeToString(deterministic=True)).hexdigest()}"


def read(path: Path) -> ModelProto:
    """Read an ONNX file. Raises CheckpointError."""
    try:
        return onnx.load_model(path)
    except (OSError, DecodeError, onnx.checker.ValidationError) as error:
        raise CheckpointError(f"{path.name}: not a readable ONNX file: {error}") from error


def _shape(value: ValueInfoProto) -> tuple[int, ...]:
    return tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim[1:])
