import json
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto
from tritonclient.grpc import InferenceServerClient, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from pellucid_triton.server import TritonServer
from tests.pellucid_triton import networks
from tests.pellucid_triton.inference import Array, infer, rows, tensors

pytestmark = pytest.mark.stack


def _together(client: InferenceServerClient, model: str, requests: list[dict[str, Array]]) -> list[Any]:
    """Send the requests at once and return outputs or errors, in order."""
    with ThreadPoolExecutor(len(requests)) as pool:
        futures: list[Future[Any]] = [pool.submit(infer, client, model, values) for values in requests]
        return [future.exception() or future.result() for future in futures]


def _counts(client: InferenceServerClient, model: str) -> tuple[int, int]:
    """Return how many rows were inferred so far, and in how many executions."""
    statistics = client.get_inference_statistics(model).model_stats[0]
    return statistics.inference_count, statistics.execution_count


def test_values_over_grpc_are_those_of_onnx_runtime_in_process(client: InferenceServerClient, repository: Path) -> None:
    value = np.random.default_rng(0).standard_normal((5, 4), dtype=np.float32)
    session = onnxruntime.InferenceSession(repository / "affine" / "1" / "model.onnx")
    doubled, total = session.run(["doubled", "total"], {"value": value})
    answer = infer(client, "affine", {"value": value})
    np.testing.assert_array_equal(answer["doubled"], doubled)
    np.testing.assert_array_equal(answer["total"], total)
    np.testing.assert_array_equal(answer["doubled"], 2 * value + 1)


def test_values_over_plain_http_are_the_same(server: TritonServer) -> None:
    value = {"name": "value", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
    request = urllib.request.Request(
        f"http://{server.addresses.http}/v2/models/affine/infer", json.dumps({"inputs": [value]}).encode()
    )
    with urllib.request.urlopen(request) as response:
        outputs = {output["name"]: output["data"] for output in json.load(response)["outputs"]}
    assert outputs == {"doubled": [3, 5, 7, 9], "total": [10]}


def test_only_requested_outputs_come_back(client: InferenceServerClient) -> None:
    wanted = [InferRequestedOutput("total")]
    answer = infer(client, "affine", {"value": rows(1, 2)}, outputs=wanted)
    assert {name: value.tolist() for name, value in answer.items()} == {"total": [[4], [8]]}


def test_concurrent_requests_are_merged_and_each_gets_its_own_rows(client: InferenceServerClient) -> None:
    inferred, executed = _counts(client, "merging_affine")
    requests = [{"value": rows(*range(first, first + count))} for first, count in ((0, 1), (10, 3), (20, 2), (30, 1))]
    answers = _together(client, "merging_affine", requests)
    for request, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer["doubled"], 2 * request["value"] + 1)
        np.testing.assert_array_equal(answer["total"], request["value"].sum(axis=1, keepdims=True))
    inferred_after, executed_after = _counts(client, "merging_affine")
    assert inferred_after - inferred == 7
    assert executed_after - executed < len(requests)


def test_merging_shows_in_the_metrics(client: InferenceServerClient, server: TritonServer) -> None:
    _together(client, "merging_affine", [{"value": rows(value)} for value in range(6)])
    with urllib.request.urlopen(f"http://{server.addresses.metrics}/metrics") as response:
        lines = response.read().decode().splitlines()
    label = '{model="merging_affine",version="1"} '
    inferred, executed = (
        float(line.removeprefix(name + label))
        for name in ("nv_inference_count", "nv_inference_exec_count")
        for line in lines
        if line.startswith(name + label)
    )
    assert executed < inferred


def test_a_bad_request_among_good_ones_gets_its_own_error(client: InferenceServerClient) -> None:
    requests = [{"index": np.array([[index]], np.int64)} for index in (3, 99, 5)]
    good, bad, other = _together(client, "merging_lookup", requests)
    assert good["square"].tolist() == [[9]]
    assert other["square"].tolist() == [[25]]
    assert isinstance(bad, InferenceServerException)
    assert "99" in str(bad)


def test_a_model_without_a_batch_axis_gets_its_shapes_unchanged(client: InferenceServerClient) -> None:
    left = np.arange(6, dtype=np.float32).reshape(3, 2)
    answer = infer(client, "matrix_sum", {"left": left, "right": 10 * left})
    np.testing.assert_array_equal(answer["sum"], 11 * left)


def test_shapes_that_the_network_refuses_are_an_invalid_argument(client: InferenceServerClient) -> None:
    left, right = np.zeros((3, 2), np.float32), np.zeros((2, 2), np.float32)
    with pytest.raises(InferenceServerException):
        infer(client, "matrix_sum", {"left": left, "right": right})


def _echo_values(count: int) -> dict[str, Array]:
    columns = np.array([[0, 1]] * count)
    values: dict[str, Array] = {
        f"{TensorProto.DataType.Name(kind).lower()}_in": columns.astype(onnx_type)
        for kind, onnx_type in zip(
            networks.TYPES[:-1],
            (np.float32, np.float16, np.int32, np.int64, np.uint8, np.uint16, np.bool_),
            strict=True,
        )
    }
    return values | {"string_in": np.array([["", "Gesicht: ä"]] * count, np.object_)}


def test_every_type_comes_back_as_it_went_in(client: InferenceServerClient) -> None:
    values = _echo_values(2)
    values["float_in"][1, 1] = -2.5
    for answer in _together(client, "echo", [values, values]):
        for name, value in values.items():
            found = answer[name.replace("_in", "_out")]
            if name == "string_in":
                found = np.array([item.decode() for item in found.ravel()], np.object_).reshape(found.shape)
            assert found.dtype == value.dtype
            np.testing.assert_array_equal(found, value)


def test_text_that_is_not_utf8_is_refused_by_name(client: InferenceServerClient) -> None:
    values = _echo_values(1) | {"string_in": np.array([[b"\xff", b"a"]], np.object_)}
    with pytest.raises(InferenceServerException, match="input string_in: text must be UTF-8"):
        infer(client, "echo", values)


def test_weights_in_external_data_are_found(client: InferenceServerClient) -> None:
    answer = infer(client, "external", {"value": np.ones((2, 1024), np.float32)})
    np.testing.assert_array_equal(answer["scaled"], np.full((2, 1024), 3, np.float32))


def test_the_two_latest_versions_are_served(client: InferenceServerClient) -> None:
    value = {"value": np.ones((1, 1024), np.float32)}
    scaled = [infer(client, "versions", value, model_version=version)["scaled"][0, 0] for version in ("2", "3")]
    assert scaled == [2, 3]
    assert not client.is_model_ready("versions", "1")


def test_priorities_and_timeouts_of_requests_are_accepted(client: InferenceServerClient) -> None:
    answers = _together(client, "affine", [{"value": rows(1)}] * 3)
    assert [answer["total"].tolist() for answer in answers] == [[[4]]] * 3
    assert infer(client, "affine", {"value": rows(2)}, priority=1, timeout=1_000_000)["total"].tolist() == [[8]]


def test_tensors_that_do_not_fit_the_configuration_are_refused(client: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="unexpected shape"):
        client.infer("affine", tensors({"value": np.zeros((1, 5), np.float32)}))
