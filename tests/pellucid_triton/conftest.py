"""A real Triton for the tests, over a repository of small known networks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import tritonclient.grpc as tritonclient

from pellucid_triton.server import TritonServer
from pellucid_triton.settings import Settings
from tests.pellucid_triton import networks

_MERGING = "dynamic_batching { max_queue_delay_microseconds: 200000 }"
_POLICY = """
dynamic_batching {
  priority_levels: 2 default_priority_level: 2
  default_queue_policy { max_queue_size: 4 timeout_action: REJECT allow_timeout_override: true }
}
"""


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of known networks, one broken model, and things that are no models."""
    path = tmp_path_factory.mktemp("repository")
    networks.write(path, "affine", networks.affine(), extra=_POLICY)
    networks.write(path, "merging_affine", networks.affine(), extra=_MERGING)
    networks.write(path, "merging_lookup", networks.lookup(), extra=_MERGING)
    networks.write(path, "matrix_sum", networks.matrix_sum(), max_batch_size=0)
    networks.write(path, "echo", networks.echo(), extra=_MERGING)
    external = networks.write(path, "external", networks.scale(3))
    networks.write_version(external / "1", networks.scale(3), external=True)
    versions = networks.write(
        path, "versions", networks.scale(1), extra="version_policy { latest { num_versions: 2 } }"
    )
    networks.write_version(versions / "2", networks.scale(2))
    networks.write_version(versions / "3", networks.scale(3))
    broken = networks.write(path, "broken", networks.affine())
    (broken / "1" / "model.onnx").write_bytes(b"not a network")
    (path / "README.md").write_text("not a model")
    (path / ".cache").mkdir()
    return path


@pytest.fixture(scope="session")
def server(repository: Path) -> Iterator[TritonServer]:
    """One embedded Triton for all tests that leave it as they found it."""
    triton = TritonServer(Settings(repository))
    triton.start()
    yield triton
    triton.stop()


@pytest.fixture(scope="session")
def client(server: TritonServer) -> Iterator[tritonclient.InferenceServerClient]:
    """A client of that server."""
    with tritonclient.InferenceServerClient(server.addresses.grpc) as connected:
        yield connected


@pytest.fixture
def small_repository(tmp_path: Path) -> Path:
    """A repository of one network, for a server of the test's own."""
    path = tmp_path / "repository"
    networks.write(path, "affine", networks.affine())
    return path
