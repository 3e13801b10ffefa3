import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pellucid_triton.environment import Environment, ensure_environment
from pellucid_triton.errors import EnvironmentBuildError

pytestmark = pytest.mark.stack

_MAKE = """
import sys
from pathlib import Path
from pellucid_triton.environment import ensure_environment
print(ensure_environment("onnxruntime", Path(sys.argv[1])).directory)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A freshly made environment, below a folder that a shell would take for two words."""
    return ensure_environment("onnxruntime", tmp_path_factory.mktemp("the cache"))


def test_it_holds_the_server_and_a_numpy_below_2(environment: Environment) -> None:
    assert (environment.triton / "bin" / "tritonserver").is_file()
    assert [path.name for path in environment.packages.glob("numpy-*.dist-info")] == ["numpy-1.26.4.dist-info"]
    assert not (environment.packages / "tritonclient").exists()


def test_a_finished_environment_is_used_as_it_is(environment: Environment) -> None:
    before = (environment.directory / "complete").stat()
    assert ensure_environment("onnxruntime", environment.directory.parent) == environment
    assert (environment.directory / "complete").stat() == before


def test_one_without_its_marker_is_made_again(environment: Environment) -> None:
    (environment.directory / "complete").unlink()
    server = environment.triton / "bin" / "tritonserver"
    server.unlink()
    ensure_environment("onnxruntime", environment.directory.parent)
    assert server.is_file()


def test_remains_of_an_interrupted_build_are_replaced(environment: Environment, tmp_path: Path) -> None:
    partial = tmp_path / f"{environment.directory.name}.partial"
    (partial / "lib").mkdir(parents=True)
    made = ensure_environment("onnxruntime", tmp_path)
    assert (made.triton / "bin" / "tritonserver").is_file()
    assert not partial.exists()


def test_two_processes_at_once_make_one_environment(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _MAKE, str(tmp_path)]
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(subprocess.run, command, check=True, capture_output=True, text=True) for _ in range(2)]
        made = {run.result().stdout for run in runs}
    assert len(made) == 1
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [Path(made.pop().strip()).name]


def test_a_cache_that_cannot_be_made_is_an_error_that_names_its_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentBuildError, match=rf"the cache {tmp_path}/file/cache .* XDG_CACHE_HOME"):
        ensure_environment("onnxruntime", tmp_path / "file" / "cache")
