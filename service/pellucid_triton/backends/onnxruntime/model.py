"""Triton backend `onnxruntime`: serves `model.onnx` with ONNX Runtime on the CPU.

Stands in for NVIDIA's backend of that name and reads these of its parameters: `intra_op_thread_count`,
`inter_op_thread_count`, `execution_mode` (0 sequential, 1 parallel). It passes over all others.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from batching import (  # type: ignore[import-not-found]
    BatchingModel,
    RequestError,
    Tensors,
    model_file,
    parameter,
    threads_per_instance,
)


class TritonPythonModel(BatchingModel):  # type: ignore[misc]
    """One instance of a model: an ONNX Runtime session."""

    def __init__(self) -> None:
        """Leave everything to `initialize`, which is given the configuration."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the network; raises when it lacks a tensor that config.pbtxt names."""
        config = json.loads(args["model_config"])
        super().__init__(config)
        self._session = ort.InferenceSession(
            model_file(args, config, "model.onnx"), _options(config), providers=["CPUExecutionProvider"]
        )
        self._strings = _check(self, self._session)

    def run(self, inputs: Tensors, outputs: Sequence[str]) -> list[Any]:
        """Run the network once; raises RequestError for shapes and values that it refuses."""
        feeds = {name: _text(name, value) if name in self._strings else value for name, value in inputs.items()}
        try:
            return list(self._session.run(list(outputs), feeds))
        except _refusals() as error:
            raise RequestError(str(error)) from error


def _options(config: dict[str, Any]) -> ort.SessionOptions:
    options = ort.SessionOptions()
    default = threads_per_instance(config)
    options.intra_op_num_threads = int(parameter(config, "intra_op_thread_count", str(default)))
    options.inter_op_num_threads = int(parameter(config, "inter_op_thread_count", "1"))
    if parameter(config, "execution_mode", "0") == "1":
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    # Threads that spin between requests take the cores from the other models and from the gateway.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # A plan of memory is kept for every size that was seen: of large images it doubles what a process holds.
    options.enable_mem_pattern = all(length >= 0 for tensor in config["input"] for length in map(int, tensor["dims"]))
    return options


def _check(model: BatchingModel, session: ort.InferenceSession) -> frozenset[str]:
    """Compare tensor names with the configuration's and return the names of text inputs."""
    for kind, named, found in (
        ("input", model.input_names, session.get_inputs()),
        ("output", model.output_names, session.get_outputs()),
    ):
        known = [tensor.name for tensor in found]
        for name in named:
            if name not in known:
                raise ValueError(f"config.pbtxt names {kind} '{name}'; the network has {', '.join(known)}")
    return frozenset(tensor.name for tensor in session.get_inputs() if tensor.type == "tensor(string)")


def _text(name: str, value: Any) -> Any:
    try:
        return np.array([item.decode() for item in value.ravel()], np.object_).reshape(value.shape)
    except UnicodeDecodeError as error:
        raise RequestError(f"input {name}: text must be UTF-8: {error}") from error


def _refusals() -> tuple[type[Exception], ...]:
    state = ort.capi.onnxruntime_pybind11_state
    return (state.InvalidArgument,)
