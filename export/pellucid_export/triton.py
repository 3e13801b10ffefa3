"""config.pbtxt of a Triton model."""

from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

from pellucid_export.errors import GraphError, RepositoryError
from pellucid_export.family import Length, Signature, Tensor
from pellucid_export.form import Accelerator, Form, Format

CARD = "pellucid.card"
FORM = "pellucid.export"

MODEL_FILE = {Format.ONNX: "model.onnx", Format.TORCHSCRIPT: "model.pt"}
_BACKEND = {Format.ONNX: "onnxruntime", Format.TORCHSCRIPT: "pytorch"}

_INTERACTIVE, _BULK = 1, 2
# Requests that may wait, by priority; interactive ones are small, bulk ones fill whole batches.
_MAX_QUEUE_SIZE = {_INTERACTIVE: 256, _BULK: 64}
_LONGEST_QUEUEING_US = 60_000_000
_LARGEST_ENGINE_GROWTH = 64
"""Multiples by which lengths may exceed their examples in TensorRT's profile."""

# Triton's messages have no type stubs.
ModelConfig = Any


def configure(name: str, signature: Signature, form: Form, parameters: dict[str, str]) -> ModelConfig:
    """The configuration of one stage. Raises GraphError where the accelerator does not go with the format."""
    config = model_config_pb2.ModelConfig(
        name=name,
        backend=_BACKEND[form.format],
        max_batch_size=form.max_batch_size,
        input=[_tensor(model_config_pb2.ModelInput, tensor) for tensor in signature.inputs],
        output=[_tensor(model_config_pb2.ModelOutput, tensor) for tensor in signature.outputs],
        version_policy={"latest": {"num_versions": 2}},
        dynamic_batching=_batching(),
        model_warmup=[_warmup(size, signature) for size in sorted({1, form.max_batch_size})],
    )
    for key, value in parameters.items():
        config.parameters[key].string_value = value
    _place(config, signature, form)
    return config


def signature(config: ModelConfig) -> Signature:
    """The tensors of a configuration; it knows no ranges but those of `image`, so that integers are bound to 0.

    Lengths that may vary have the examples that the model is warmed up with.
    """
    examples = {name: tuple(given.dims) for warmup in config.model_warmup for name, given in warmup.inputs.items()}
    return Signature(
        inputs=tuple(_declared(tensor, examples.get(tensor.name, ())) for tensor in config.input),
        outputs=tuple(_declared(tensor, ()) for tensor in config.output),
    )


def write(config: ModelConfig, path: Path) -> None:
    """Write config.pbtxt."""
    path.write_text(text_format.MessageToString(config, as_utf8=True), encoding="utf-8")


def read(path: Path) -> ModelConfig:
    """Read config.pbtxt. Raises RepositoryError where it is missing or not a configuration."""
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    except FileNotFoundError as error:
        raise RepositoryError(f"no model '{path.parent.name}' in {path.parent.parent}") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise RepositoryError(f"config.pbtxt of '{path.parent.name}' cannot be read: {error}") from error


def _tensor(kind: Any, tensor: Tensor) -> Any:
    return kind(name=tensor.name, data_type=_data_type(tensor), dims=tensor.dims)


def _declared(tensor: Any, example: tuple[int, ...]) -> Tensor:
    dtype = np.dtype(triton_to_np_dtype(model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")))
    shape = tuple(
        Length(f"axis_{axis}", 1, example[axis] if example else 1) if length < 0 else length
        for axis, length in enumerate(tensor.dims)
    )
    if tensor.name == "image":
        low, high = (0.0, 255.0) if dtype == np.uint8 else (-1.0, 1.0)
        return Tensor(tensor.name, dtype.name, shape, low, high)
    return Tensor(tensor.name, dtype.name, shape, high=None if dtype.kind == "f" else 0)


def _data_type(tensor: Tensor) -> int:
    number: int = model_config_pb2.DataType.Value(f"TYPE_{np_to_triton_dtype(np.dtype(tensor.dtype))}")
    return number


def _batching() -> Any:
    """Two priorities with bounded queues; 1 (interactive) is the highest and the default, bulk asks for 2."""
    policies = {
        priority: model_config_pb2.ModelQueuePolicy(
            timeout_action=model_config_pb2.ModelQueuePolicy.REJECT,
            # NOTE: Triton heeds a request's own timeout only where it is shorter than a default that is set.
            default_timeout_microseconds=_LONGEST_QUEUEING_US,
            allow_timeout_override=True,
            max_queue_size=size,
        )
        for priority, size in _MAX_QUEUE_SIZE.items()
    }
    return model_config_pb2.ModelDynamicBatching(
        priority_levels=len(policies),
        default_priority_level=_INTERACTIVE,
        default_queue_policy=policies[_INTERACTIVE],
        priority_queue_policy=policies,
    )


def _warmup(size: int, signature: Signature) -> Any:
    warmup = model_config_pb2.ModelWarmup(name=f"batch_{size}", batch_size=size)
    for tensor in signature.inputs:
        warmup.inputs[tensor.name].CopyFrom(
            model_config_pb2.ModelWarmup.Input(data_type=_data_type(tensor), dims=tensor.example(), zero_data=True)
        )
    return warmup


def _place(config: ModelConfig, signature: Signature, form: Form) -> None:
    if form.accelerator is Accelerator.CPU:
        # Two that share the cores measured better than one with them all: one computes while the other is spoken to.
        config.instance_group.add(count=2, kind=model_config_pb2.ModelInstanceGroup.KIND_CPU)
    else:
        config.instance_group.add(count=1, kind=model_config_pb2.ModelInstanceGroup.KIND_GPU)
    if form.accelerator is not Accelerator.TENSORRT:
        return
    if form.format is not Format.ONNX:
        raise GraphError("accelerator tensorrt needs format onnx")
    accelerators = config.optimization.execution_accelerators.gpu_execution_accelerator
    accelerators.add(name="tensorrt", parameters=_tensorrt(signature, form))


def _tensorrt(signature: Signature, form: Form) -> dict[str, str]:
    """ONNX Runtime's names, as NVIDIA's backend passes them on; one profile covers every batch size."""
    parameters = {"precision_mode": "FP16" if form.fp16 else "FP32"}
    for bound, size in (("min", 1), ("opt", form.max_batch_size), ("max", form.max_batch_size)):
        grown = _LARGEST_ENGINE_GROWTH if bound == "max" else 0
        shapes = (f"{tensor.name}:{'x'.join(map(str, (size, *tensor.example(grown))))}" for tensor in signature.inputs)
        parameters[f"trt_profile_{bound}_shapes"] = ",".join(shapes)
    if form.engine_cache:
        parameters |= {
            "trt_engine_cache_enable": "true",
            "trt_engine_cache_path": form.engine_cache,
            "trt_timing_cache_enable": "true",
            "trt_timing_cache_path": form.engine_cache,
        }
    return parameters
