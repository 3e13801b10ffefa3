"""Running networks and exported files in process, with the settings that the server uses."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto

from pellucid_export.errors import RepositoryError
from pellucid_export.family import Stage
from pellucid_export.samples import Array, Arrays

Runner = Callable[[Mapping[str, Array]], Arrays]

THREADS = 2


def open_model(directory: Path, threads: int = THREADS) -> Runner:
    """Open a version's model.onnx or model.pt: named inputs to named outputs, both with the batch axis first.

    Raises RepositoryError where the folder has neither.
    """
    if (directory / "model.onnx").is_file():
        return open_onnx(str(directory / "model.onnx"), threads)
    if (directory / "model.pt").is_file():
        return _open_torchscript(directory, threads)
    raise RepositoryError(f"version {directory.name} of '{directory.parent.name}' has neither model.onnx nor model.pt")


def open_onnx(model: str | bytes, threads: int = THREADS) -> Runner:
    """Open an ONNX file, or a serialised model, in ONNX Runtime on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def reference(stage: Stage) -> Runner:
    """The stage as its family loaded it, before any export: what an exported file is compared with."""
    if isinstance(stage.module, ModelProto):
        return open_onnx(stage.module.SerializeToString())
    inputs = [tensor.name for tensor in stage.signature.inputs]
    return _torch_runner(stage.module, inputs, [tensor.name for tensor in stage.signature.outputs])


def _open_torchscript(directory: Path, threads: int) -> Runner:
    import torch

    from pellucid_export import torchscript, triton

    config = triton.read(directory.parent / "config.pbtxt")
    torch.set_num_threads(threads)
    module = torchscript.read(directory / "model.pt")
    return _torch_runner(module, [tensor.name for tensor in config.input], [t.name for t in config.output])


def _torch_runner(module: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Runner:
    import torch

    def run(values: Mapping[str, Array]) -> Arrays:
        with torch.inference_mode():
            answer = module(*(torch.from_numpy(np.ascontiguousarray(values[name])) for name in inputs))
        tensors = answer if isinstance(answer, tuple) else (answer,)
        return dict(zip(outputs, (tensor.numpy() for tensor in tensors), strict=True))

    return run
