"""Proof, before anyone relies on it, that tensors come back from the server with their values.

With numpy 2 in its environment the server's Python backend answers every request promptly, with the
right shape and no bytes at all. So a start ends with a known tensor through a known model.

`selfcheck_model/model.onnx` computes `result = 3 value + 1` for float32 `value` (N, 4). It was made
once with:

    helper.make_model(
        helper.make_graph(
            [helper.make_node("Mul", ["value", "three"], ["product"]),
             helper.make_node("Add", ["product", "one"], ["result"])],
            "selfcheck",
            [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["batch", 4])],
            [helper.make_tensor_value_info("result", TensorProto.FLOAT, ["batch", 4])],
            [numpy_helper.from_array(np.float32(3), "three"), numpy_helper.from_array(np.float32(1), "one")]),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
"""

import shutil
from importlib import resources
from pathlib import Path

import grpc
import numpy as np
from tritonclient.grpc import service_pb2

from pellucid_triton.control import Control
from pellucid_triton.errors import SelfCheckError

MODEL = "pellucid_selfcheck"

_VALUE = np.array([[0.0, 1.0, -2.5, 1000.25], [4.0, 5.0, 6.0, 7.0]], np.float32)  # (N, 4)
_EXPECTED = 3 * _VALUE + 1  # exact in float32


def write_repository(directory: Path) -> Path:
    """Write the check's own model repository below the directory and return its path."""
    repository = directory / "selfcheck"
    version = repository / MODEL / "1"
    version.mkdir(parents=True)
    source = resources.files("pellucid_triton") / "selfcheck_model"
    (repository / MODEL / "config.pbtxt").write_bytes((source / "config.pbtxt").read_bytes())
    (version / "model.onnx").write_bytes((source / "model.onnx").read_bytes())
    return repository


def run_self_check(control: Control, repository: Path, timeout_s: float) -> None:
    """Load the check's model, compare what it answers, and take the model away again.

    Raises SelfCheckError when it cannot be loaded or its values are wrong.
    """
    try:
        control.load(MODEL, timeout_s)
        verify(control.infer(_request()))
        control.unload(MODEL)
    except grpc.RpcError as error:
        raise SelfCheckError(f"self-check: Triton refused its own small model: {error.details()}") from error
    # The server's index lists what the repositories hold; users are not to see this model.
    shutil.rmtree(repository / MODEL)


def verify(answer: service_pb2.ModelInferResponse) -> None:
    """Raise SelfCheckError unless the answer holds the expected values."""
    raw = answer.raw_output_contents[0] if answer.raw_output_contents else b""
    if raw == _EXPECTED.tobytes():
        return
    if not raw.strip(b"\0"):
        raise SelfCheckError(
            f"self-check: a tensor came back empty ({len(raw)} bytes, none but zeros, instead of "
            f"{_EXPECTED.nbytes} with values). This is what Triton's Python backend does with numpy 2: "
            "its environment needs numpy < 2"
        )
    raise SelfCheckError(
        f"self-check: a tensor came back with other values than were computed: {raw[:64].hex()} instead of "
        f"{_EXPECTED.tobytes()[:64].hex()}"
    )


def _request() -> service_pb2.ModelInferRequest:
    request = service_pb2.ModelInferRequest(model_name=MODEL)
    request.inputs.add(name="value", datatype="FP32", shape=_VALUE.shape)
    request.raw_input_contents.append(_VALUE.tobytes())
    return request
