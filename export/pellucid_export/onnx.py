"""A stage as an ONNX file.

Opset 22 is what ONNX Runtime 1.21 implements, the one in NVIDIA's Triton container 25.04, the oldest that is safe
with cancelled requests; the container 26.08 has 1.28 (both: `ort_version` in build.py of the Triton server's
branches r25.04 and r26.08) and reads it as well. Opsets 20 to 25 were equally fast.
"""

import logging
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import ModelProto

from pellucid_export.errors import GraphError
from pellucid_export.family import Length, Stage, Tensor
from pellucid_export.networks.folding import fold_batch_norms
from pellucid_export.samples import draw

OPSET = 22
SCRIPT_OPSET = 20
"""The newest that torch's older exporter writes, the only one that reads TorchScript."""

LARGEST_GRAPH_BYTES = 2**30
"""Weights of a larger graph go to a file of their own: protobuf ends at 2 GiB."""

DATA_SUFFIX = ".data"
_TRACED_ROWS = 2


def write(stage: Stage, path: Path, largest_graph_bytes: int = LARGEST_GRAPH_BYTES) -> None:
    """Write the stage to `path`, with the signature's tensor names and a free batch axis.

    A graph larger than `largest_graph_bytes` has its weights in `<path>.data` beside it.
    Raises GraphError where the network cannot be expressed, or the graph has other tensors than the signature.
    """
    graph = _graph(stage)
    _check(stage, graph)
    is_large = graph.ByteSize() > largest_graph_bytes
    onnx.save_model(graph, path, save_as_external_data=is_large, location=f"{path.name}{DATA_SUFFIX}")
    if is_large and graph is stage.module:
        # NOTE: saving takes the weights out of the graph, which is still to be compared with.
        onnx.load_external_data_for_model(graph, str(path.parent))


def _graph(stage: Stage) -> ModelProto:
    if isinstance(stage.module, ModelProto):
        return stage.module
    if any(isinstance(part, torch.jit.ScriptModule) for part in stage.module.modules()):
        return _from_script(stage, stage.module)
    return _exported(stage, stage.module)


class _Lengths:
    """The axes that torch is told may vary: the batch, and lengths by name."""

    def __init__(self) -> None:
        self._batch = torch.export.Dim("batch", min=1)
        self._units: dict[str, Any] = {}

    def of(self, tensor: Tensor) -> dict[int, Any]:
        """Which axes of a tensor vary, in the form of torch.export's `dynamic_shapes`."""
        free = {axis: self._length(length) for axis, length in enumerate(tensor.shape, 1) if isinstance(length, Length)}
        return {0: self._batch} | free

    def _length(self, length: Length) -> Any:
        unit = self._units.setdefault(length.name, torch.export.Dim(f"{length.name}_units", min=1))
        return length.multiple * unit if length.multiple > 1 else unit


def _from_script(stage: Stage, module: torch.nn.Module) -> ModelProto:
    signature = stage.signature
    examples = draw(signature, _TRACED_ROWS, seed=0)
    inputs = tuple(torch.from_numpy(examples[tensor.name]) for tensor in signature.inputs)
    content = BytesIO()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # TorchScript and its exporter say that they are old, and what tracing may bake is compared later.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                torch.jit.trace(module, inputs),  # type: ignore[no-untyped-call]
                inputs,
                content,  # type: ignore[arg-type]
                input_names=[tensor.name for tensor in signature.inputs],
                output_names=[tensor.name for tensor in signature.outputs],
                dynamic_axes={tensor.name: {0: "batch"} for tensor in (*signature.inputs, *signature.outputs)},
                opset_version=SCRIPT_OPSET,
                dynamo=False,
                verbose=False,
            )
    except Exception as error:
        raise GraphError(
            f"stage '{stage.role}' is TorchScript that cannot be translated to ONNX: {error}; traced instead of"
            " scripted it often can, and it can be exported as TorchScript"
        ) from error
    return without_origins(onnx.load_model_from_string(content.getvalue()))


def _exported(stage: Stage, module: torch.nn.Module) -> ModelProto:
    signature = stage.signature
    examples = draw(signature, _TRACED_ROWS, seed=0)
    lengths = _Lengths()
    # The exporter reports optional packages that it does without.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Several inputs share their axes, which the exporter finds worth saying.
            warnings.filterwarnings("ignore", "# The axis name: .* will not be used")
            program = torch.onnx.export(
                fold_batch_norms(module),
                tuple(torch.from_numpy(examples[tensor.name]) for tensor in signature.inputs),
                input_names=[tensor.name for tensor in signature.inputs],
                output_names=[tensor.name for tensor in signature.outputs],
                dynamic_shapes=tuple(lengths.of(tensor) for tensor in signature.inputs),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:
        raise GraphError(f"stage '{stage.role}' cannot be exported to ONNX: {error}") from error
    if program is None:
        raise GraphError(f"stage '{stage.role}' cannot be exported to ONNX")
    return without_origins(program.model_proto)


def without_origins(graph: ModelProto) -> ModelProto:
    """Drop an exporter's notes: they hold stack traces with the paths of its machine."""
    graph.ClearField("metadata_props")
    for part in (graph.graph, *graph.graph.node, *graph.graph.initializer, *graph.graph.value_info):
        part.ClearField("metadata_props")
    for node in graph.graph.node:
        node.ClearField("doc_string")
    return graph


def _check(stage: Stage, graph: ModelProto) -> None:
    try:
        onnx.checker.check_model(graph, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GraphError(f"the ONNX graph of stage '{stage.role}' is not valid: {error}") from error
    weights = {initializer.name for initializer in graph.graph.initializer}
    found = (
        [value.name for value in graph.graph.input if value.name not in weights],
        [value.name for value in graph.graph.output],
    )
    wanted = [tensor.name for tensor in stage.signature.inputs], [tensor.name for tensor in stage.signature.outputs]
    if found != wanted:
        raise GraphError(f"stage '{stage.role}' has the tensors {found}, its signature says {wanted}")
    for value in (*graph.graph.input, *graph.graph.output):
        if value.name not in weights and value.type.tensor_type.shape.dim[0].HasField("dim_value"):
            raise GraphError(f"tensor '{value.name}' of stage '{stage.role}' has a fixed batch size")
