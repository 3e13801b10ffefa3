"""Small networks whose results can be computed in the head, and repositories that hold them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_TRITON_TYPES: dict[int, str] = {
    TensorProto.FLOAT: "TYPE_FP32",
    TensorProto.FLOAT16: "TYPE_FP16",
    TensorProto.INT32: "TYPE_INT32",
    TensorProto.INT64: "TYPE_INT64",
    TensorProto.UINT8: "TYPE_UINT8",
    TensorProto.UINT16: "TYPE_UINT16",
    TensorProto.BOOL: "TYPE_BOOL",
    TensorProto.STRING: "TYPE_STRING",
}
TYPES = tuple(_TRITON_TYPES)

Tensor = tuple[str, int, Sequence[int | str]]


def affine() -> onnx.ModelProto:
    """`doubled = 2 value + 1` and `total`, the sum of each row of (N, 4)."""
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    return _model(
        [
            helper.make_node("Mul", ["value", "two"], ["product"]),
            helper.make_node("Add", ["product", "one"], ["doubled"]),
            helper.make_node("ReduceSum", ["value", "axes"], ["total"], keepdims=1),
        ],
        [("value", TensorProto.FLOAT, ["batch", 4])],
        [("doubled", TensorProto.FLOAT, ["batch", 4]), ("total", TensorProto.FLOAT, ["batch", 1])],
        {"two": np.array(2, np.float32), "one": np.array(1, np.float32)},
        [axes],
    )


def lookup() -> onnx.ModelProto:
    """`square` of a whole number `index` from 0 to 9, (N, 1); any other number is an error in the network."""
    table = np.arange(10, dtype=np.float32) ** 2
    return _model(
        [helper.make_node("Gather", ["table", "index"], ["square"])],
        [("index", TensorProto.INT64, ["batch", 1])],
        [("square", TensorProto.FLOAT, ["batch", 1])],
        {"table": table},
    )


def matrix_sum() -> onnx.ModelProto:
    """`sum` of `left` and `right`, both (rows, 2) without a batch axis."""
    return _model(
        [helper.make_node("Add", ["left", "right"], ["sum"])],
        [(name, TensorProto.FLOAT, ["rows", 2]) for name in ("left", "right")],
        [("sum", TensorProto.FLOAT, ["rows", 2])],
    )


def echo() -> onnx.ModelProto:
    """For each type an output `<type>_out`, equal to the input `<type>_in`, (N, 2)."""
    names = [TensorProto.DataType.Name(kind).lower() for kind in TYPES]
    return _model(
        [helper.make_node("Identity", [f"{name}_in"], [f"{name}_out"]) for name in names],
        [(f"{name}_in", kind, ["batch", 2]) for name, kind in zip(names, TYPES, strict=True)],
        [(f"{name}_out", kind, ["batch", 2]) for name, kind in zip(names, TYPES, strict=True)],
    )


def scale(factor: float) -> onnx.ModelProto:
    """`scaled = factor value`, with 1,024 columns, so that its weights can be external data."""
    return _model(
        [helper.make_node("Mul", ["value", "factor"], ["scaled"])],
        [("value", TensorProto.FLOAT, ["batch", 1024])],
        [("scaled", TensorProto.FLOAT, ["batch", 1024])],
        {"factor": np.full(1024, factor, np.float32)},
    )


def write(repository: Path, name: str, model: onnx.ModelProto, max_batch_size: int = 16, extra: str = "") -> Path:
    """Write the model as version 1 of `name`, with its configuration; return its directory."""
    directory = repository / name
    write_version(directory / "1", model)
    graph = model.graph
    tensors = [("input", tensor) for tensor in graph.input] + [("output", tensor) for tensor in graph.output]
    lines = ['backend: "onnxruntime"', f"max_batch_size: {max_batch_size}"]
    for role, tensor in tensors:
        shape = [dimension.dim_value or -1 for dimension in tensor.type.tensor_type.shape.dim]
        dims = shape[1:] if max_batch_size else shape
        kind = _TRITON_TYPES[tensor.type.tensor_type.elem_type]
        lines.append(f'{role} {{ name: "{tensor.name}" data_type: {kind} dims: {dims} }}')
    lines += ["instance_group { count: 1 kind: KIND_CPU }", extra]
    (directory / "config.pbtxt").write_text("\n".join(lines))
    return directory


def write_version(directory: Path, model: onnx.ModelProto, *, external: bool = False) -> None:
    """Write one version's file, with its weights beside it if `external`."""
    directory.mkdir(parents=True, exist_ok=True)
    onnx.save(model, directory / "model.onnx", save_as_external_data=external, location="weights.bin", size_threshold=0)


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    constants: dict[str, NDArray[np.float32]] | None = None,
    others: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    weights = [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(
        nodes,
        "known",
        [helper.make_tensor_value_info(*tensor) for tensor in inputs],
        [helper.make_tensor_value_info(*tensor) for tensor in outputs],
        [*weights, *others],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
