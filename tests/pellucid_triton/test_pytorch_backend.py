from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient

from pellucid_triton.server import TritonServer
from pellucid_triton.settings import Settings
from tests.pellucid_triton.inference import infer, rows

if TYPE_CHECKING:
    import torch

pytestmark = [pytest.mark.stack, pytest.mark.torch]

_CONFIGURATION = """
backend: "pytorch"
max_batch_size: 16
input { name: "value" data_type: TYPE_FP32 dims: 4 }
input { name: "offset" data_type: TYPE_FP32 dims: 1 }
output { name: "image" data_type: TYPE_UINT8 dims: [2, 2] }
output { name: "total" data_type: TYPE_FP32 dims: 1 }
instance_group { count: 1 kind: KIND_CPU }
dynamic_batching { max_queue_delay_microseconds: 200000 }
parameters { key: "card" value { string_value: "{}" } }
"""


def _module() -> "torch.jit.ScriptModule":
    torch = pytest.importorskip("torch")

    class Network(torch.nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 4)

        def forward(self, value: Any, offset: Any) -> Any:
            moved = self.linear(value) + offset
            return torch.sigmoid(moved).mul(255).round().to(torch.uint8).view(-1, 2, 2), moved.sum(1, keepdim=True)

    torch.manual_seed(0)
    return torch.jit.trace(Network().eval(), (torch.zeros(2, 4), torch.zeros(2, 1)))


@pytest.fixture(scope="module")
def module() -> "torch.jit.ScriptModule":
    """A network with two inputs and two outputs of different types."""
    with pytest.warns(Warning, match="deprecated"):
        return _module()


@pytest.fixture(scope="module")
def client(
    module: "torch.jit.ScriptModule", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InferenceServerClient]:
    """A client of a Triton that serves the module."""
    repository: Path = tmp_path_factory.mktemp("torchscript")
    (repository / "traced" / "1").mkdir(parents=True)
    (repository / "traced" / "config.pbtxt").write_text(_CONFIGURATION)
    module.save(str(repository / "traced" / "1" / "model.pt"))
    server = TritonServer(Settings(repository))
    server.start()
    with InferenceServerClient(server.addresses.grpc) as connected:
        yield connected
    server.stop()


def _expected(module: "torch.jit.ScriptModule", values: dict[str, Any]) -> tuple[Any, Any]:
    import torch

    with torch.inference_mode():
        image, total = module(torch.from_numpy(values["value"]), torch.from_numpy(values["offset"]))
    return image.numpy(), total.numpy()


def test_torchscript_gives_the_values_of_torch(client: InferenceServerClient, module: "torch.jit.ScriptModule") -> None:
    generator = np.random.default_rng(0)
    values = {name: generator.standard_normal((5, size), np.float32) for name, size in (("value", 4), ("offset", 1))}
    answer = infer(client, "traced", values)
    image, total = _expected(module, values)
    assert answer["image"].dtype == np.uint8
    assert len(np.unique(image)) > 5
    np.testing.assert_array_equal(answer["image"], image)
    np.testing.assert_allclose(answer["total"], total, rtol=1e-6)


def test_concurrent_torchscript_requests_are_merged(
    client: InferenceServerClient, module: "torch.jit.ScriptModule"
) -> None:
    before = client.get_inference_statistics("traced").model_stats[0]
    requests = [{"value": rows(first, 0.1), "offset": np.ones((2, 1), np.float32)} for first in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda values: infer(client, "traced", values), requests))
    for values, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer["image"], _expected(module, values)[0])
    after = client.get_inference_statistics("traced").model_stats[0]
    assert after.inference_count - before.inference_count == 8
    assert after.execution_count - before.execution_count < 4
