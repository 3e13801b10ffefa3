"""Somebody else's generator in ONNX, and what stands around it so that the gateway can speak to it.

latent, label, ... (N, ...) -> rows in the network's own shapes; classes as an index where it takes one
  -> the network -> the output that is asked for -> images (N, H, W, 3)
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, compose, helper, numpy_helper

from pellucid_export import runtime
from pellucid_export.card_file import CardFile
from pellucid_export.errors import CheckpointError
from pellucid_export.networks import image_classifier
from pellucid_export.networks.convention import Argument, Feed
from pellucid_export.networks.pixels import Pixels
from pellucid_export.onnx import OPSET, without_origins
from pellucid_export.samples import Array, Arrays

_OLDEST_OPSET = 13
# The newest that ONNX Runtime 1.21 reads; the later ones bring nothing that opset 22 could use.
_NEWEST_IR = 10
_PREFIX = "network_"
_BATCH = "batch"
_STANDARD = ("", "ai.onnx")

# An operator, its further inputs, its attributes.
Step = tuple[str, dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class ForeignGraph:
    """An ONNX network whose batch axis is free, its arguments, and the digest of what decides its output."""

    network: ModelProto
    arguments: tuple[Argument, ...]
    digest: str

    def run(self, card: CardFile, feeds: Sequence[Feed], values: Arrays) -> Array:
        """The chosen output, as the network gives it."""
        chosen = self._chosen(card.output)
        result = helper.make_tensor_value_info("output", chosen.type.tensor_type.elem_type, None)
        model = self._surrounded(card, feeds, [("Identity", {}, {})], result)
        return runtime.open_onnx(model.SerializeToString())(values)["output"]

    def generator(self, card: CardFile, feeds: Sequence[Feed], channels: int, pixels: Pixels) -> ModelProto:
        """The network as a stage that gives `image`; the card's height and width must be known."""
        kind = TensorProto.UINT8 if pixels == "uint8" else TensorProto.FLOAT
        model = card.model
        result = helper.make_tensor_value_info("image", kind, [_BATCH, model.height, model.width, 3])
        return self._surrounded(card, feeds, _written(card, channels, pixels), result)

    def _surrounded(
        self, card: CardFile, feeds: Sequence[Feed], end: Sequence[Step], result: ValueInfoProto
    ) -> ModelProto:
        model = compose.add_prefix(self.network, _PREFIX)
        constants: list[TensorProto] = []
        before = [node for feed in feeds for node in _chain(f"given_{feed.tensor.name}", *_route(feed), constants)]
        source = f"{_PREFIX}{self._chosen(card.output).name}"
        after = _chain("end", source, result.name, end, constants)
        nodes = [*before, *model.graph.node, *after]
        given = [
            helper.make_tensor_value_info(feed.tensor.name, TensorProto.FLOAT, [_BATCH, *feed.tensor.dims])
            for feed in feeds
        ]
        for part, content in (("node", nodes), ("input", given), ("output", [result])):
            model.graph.ClearField(part)
            getattr(model.graph, part).extend(content)
        model.graph.initializer.extend(constants)
        model.ir_version = min(model.ir_version, _NEWEST_IR)
        return model

    def _chosen(self, output: str | int | None) -> ValueInfoProto:
        outputs = list(self.network.graph.output)
        names = [value.name for value in outputs]
        number = 0 if output is None and len(outputs) == 1 else output
        if isinstance(number, str) and number in names:
            number = names.index(number)
        if not isinstance(number, int) or number >= len(outputs):
            raise CheckpointError(
                f"output must be one of {', '.join(names)}, which the network gives; it is {output!r}"
            )
        _check_batch(outputs[number])
        return outputs[number]


def read(path: Path) -> ForeignGraph:
    """Read an ONNX file, with its weights where they are in files of their own beside it.

    Raises CheckpointError for a file that is not a valid graph, another opset than 13 to 22, and a fixed batch.
    """
    network = without_origins(image_classifier.read(path))
    try:
        onnx.checker.check_model(network)
    except onnx.checker.ValidationError as error:
        raise CheckpointError(f"{path.name}: not a valid ONNX file: {str(error).splitlines()[0]}") from error
    opset = max((o.version for o in network.opset_import if o.domain in _STANDARD), default=0)
    if not _OLDEST_OPSET <= opset <= OPSET:
        raise CheckpointError(
            f"{path.name}: its opset is {opset}, served are {_OLDEST_OPSET} to {OPSET}: export it with one of those, or"
            " convert it with onnx.version_converter"
        )
    weights = {initializer.name for initializer in network.graph.initializer}
    given = [value for value in network.graph.input if value.name not in weights]
    return ForeignGraph(network, tuple(map(_argument, given)), _digest(network))


def _digest(network: ModelProto) -> str:
    """SHA-256 over the weights and the graph; it does not depend on where the weights are stored."""
    total = hashlib.sha256()
    for weight in sorted(network.graph.initializer, key=lambda weight: weight.name):
        array = numpy_helper.to_array(weight)
        total.update(f"{len(weight.name)}:{weight.name} {array.dtype} {array.shape}\n".encode())
        total.update(array.tobytes())
    graph = GraphProto(node=network.graph.node, input=network.graph.input, output=network.graph.output)
    rest = ModelProto(graph=graph, functions=network.functions, opset_import=network.opset_import)
    total.update(rest.SerializeToString(deterministic=True))
    return f"sha256:{total.hexdigest()}"


def _argument(value: ValueInfoProto) -> Argument:
    _check_batch(value)
    kind = value.type.tensor_type
    lengths = tuple(axis.dim_value for axis in kind.shape.dim[1:])
    return Argument(
        value.name,
        shape=lengths if all(lengths) else None,
        dtype=helper.tensor_dtype_to_np_dtype(kind.elem_type).name,
    )


def _check_batch(value: ValueInfoProto) -> None:
    axes = value.type.tensor_type.shape.dim
    if value.type.tensor_type.HasField("shape") and not axes:
        raise CheckpointError(f"the network's '{value.name}' is a single number: every tensor needs a batch axis first")
    if axes and axes[0].HasField("dim_value"):
        raise CheckpointError(
            f"the network's '{value.name}' has a fixed batch of {axes[0].dim_value}: export it with a free batch axis,"
            ' such as torch.onnx.export(..., dynamo=True, dynamic_shapes=({0: "batch"}, ...)), or dynamic_axes in the'
            " older exporter"
        )


def _route(feed: Feed) -> tuple[str, str, list[Step]]:
    """From a tensor of the gateway to the network's input."""
    steps: list[Step] = [("Reshape", {"shape": np.array([-1, *feed.shape])}, {})]
    if feed.is_index:
        steps.insert(0, ("ArgMax", {}, {"axis": 1, "keepdims": 0}))
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(feed.argument.dtype))
    steps.append(("Cast", {}, {"to": kind}))
    return feed.tensor.name, f"{_PREFIX}{feed.argument.name}", steps


def _written(card: CardFile, channels: int, pixels: Pixels) -> list[Step]:
    """From the network's images to the gateway's: what `PixelOutput` does to torch's."""
    steps: list[Step] = [("Cast", {}, {"to": TensorProto.FLOAT})]
    if not card.is_channels_last:
        steps.append(("Transpose", {}, {"perm": [0, 2, 3, 1]}))
    if not card.is_usual_range:
        scale = 2 / (card.high - card.low)
        steps += [_number("Sub", card.low), _number("Mul", scale), _number("Sub", 1)]
    if channels == 1:
        steps.append(("Expand", {"shape": np.array([1, 1, 1, 3])}, {}))
    if pixels == "uint8":
        levels = {"least": np.array(0, np.float32), "most": np.array(255, np.float32)}
        steps += [_number("Add", 1), _number("Mul", 127.5), ("Clip", levels, {}), ("Round", {}, {})]
        steps.append(("Cast", {}, {"to": TensorProto.UINT8}))
    return steps


def _number(operator: str, value: float) -> Step:
    return operator, {"number": np.array(value, np.float32)}, {}


def _chain(name: str, source: str, target: str, steps: Sequence[Step], constants: list[TensorProto]) -> list[NodeProto]:
    """The steps as nodes, one after the other; their further inputs are added to `constants`."""
    nodes = []
    for index, (operator, further, attributes) in enumerate(steps):
        names = [f"{name}_{index}_{key}" for key in further]
        constants += [numpy_helper.from_array(value, key) for key, value in zip(names, further.values(), strict=True)]
        result = target if index == len(steps) - 1 else f"{name}_{index}"
        nodes.append(helper.make_node(operator, [source, *names], [result], **attributes))
        source = result
    return nodes
