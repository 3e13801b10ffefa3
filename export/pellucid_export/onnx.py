"""A stage as an ONNX file.

Opset 22 is what ONNX Runtime 1.21 implements, the one in NVIDIA's Triton container 25.04, the oldest that is safe
with cancelled requests; the container 26.08 has 1.28 (both: `ort_version` in build.py of the Triton server's
branches r25.04 and r26.08) and reads it as well. Opsets 20 to 25 were equally fast.
"""

import logging
import warnings
from pathlib import Path

import onnx
import torch
from onnx import ModelProto

from pellucid_export.errors import GraphError
from pellucid_export.family import Stage
from pellucid_export.folding import fold_batch_norms
from pellucid_export.samples import draw

OPSET = 22
LARGEST_GRAPH_BYTES = 2**30
"""Weights of a larger graph go to a file of their own: protobuf ends at 2 GiB."""

DATA_SUFFIX = ".data"
_TRACED_ROWS = 2


def write(stage: Stage, path: Path, largest_graph_bytes: int = LARGEST_GRAPH_BYTES) -> None:
    """Write the stage to `path`, with the signature's tensor names and a free batch axis.

    A graph larger than `largest_graph_bytes` has its weights in `<path>.data` beside it.
    Raises GraphError where the network cannot be expressed, or the graph has other tensors than the signature.
    """
    graph = stage.module if isinstance(stage.module, ModelProto) else _exported(stage, stage.module)
    _check(stage, graph)
    is_large = graph.ByteSize() > largest_graph_bytes
    onnx.save_model(graph, path, save_as_external_data=is_large, location=f"{path.name}{DATA_SUFFIX}")


def _exported(stage: Stage, module: torch.nn.Module) -> ModelProto:
    signature = stage.signature
    examples = draw(signature, _TRACED_ROWS, seed=0)
    batch = torch.export.Dim("batch", min=1)
    # The exporter reports optional packages that it does without.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Several inputs share one batch axis, which the exporter finds worth saying.
            warnings.filterwarnings("ignore", "# The axis name: batch will not be used")
            program = torch.onnx.export(
                fold_batch_norms(module),
                tuple(torch.from_numpy(examples[tensor.name]) for tensor in signature.inputs),
                input_names=[tensor.name for tensor in signature.inputs],
                output_names=[tensor.name for tensor in signature.outputs],
                dynamic_shapes=tuple({0: batch} for _ in signature.inputs),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:
        raise GraphError(f"stage '{stage.role}' cannot be exported to ONNX: {error}") from error
    if program is None:
        raise GraphError(f"stage '{stage.role}' cannot be exported to ONNX")
    return _without_origins(program.model_proto)


def _without_origins(graph: ModelProto) -> ModelProto:
    """Drop the exporter's notes: they hold stack traces with the paths of this machine."""
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
