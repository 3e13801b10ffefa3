from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from tritonclient.grpc import service_pb2

from pellucid_triton.errors import SelfCheckError
from pellucid_triton.selfcheck import MODEL, verify, write_repository

_VALUE = np.array([[0.0, 1.0, -2.5, 1000.25], [4.0, 5.0, 6.0, 7.0]], np.float32)


def _answer(*raw: bytes) -> service_pb2.ModelInferResponse:
    return service_pb2.ModelInferResponse(raw_output_contents=raw)


def test_the_shipped_network_computes_what_the_check_expects(tmp_path: Path) -> None:
    network = write_repository(tmp_path) / MODEL / "1" / "model.onnx"
    (result,) = onnxruntime.InferenceSession(network).run(["result"], {"value": _VALUE})
    assert result.tolist() == [[1, 4, -6.5, 3001.75], [13, 16, 19, 22]]
    verify(_answer(result.tobytes()))


@pytest.mark.parametrize("raw", [(), (b"",), (bytes(32),)], ids=["no tensor", "no bytes", "zeros"])
def test_an_empty_tensor_is_refused_and_numpy_2_is_named(raw: tuple[bytes, ...]) -> None:
    with pytest.raises(SelfCheckError, match=r"came back empty .* numpy < 2"):
        verify(_answer(*raw))


def test_other_values_are_refused_and_shown() -> None:
    with pytest.raises(SelfCheckError, match="other values than were computed: 00000000"):
        verify(_answer(_VALUE.tobytes()))
