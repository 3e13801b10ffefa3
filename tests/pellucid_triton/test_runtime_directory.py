import shutil
import tempfile
from pathlib import Path

import pytest

from pellucid_triton.environment import Environment
from pellucid_triton.errors import EnvironmentBuildError
from pellucid_triton.interpreter import Interpreter
from pellucid_triton.runtime_directory import RuntimeDirectory

_LOADS = "#!/bin/sh\nexit 1\n"
_DOES_NOT_LOAD = "#!/bin/sh\necho 'libpython3.11.so.1.0: cannot open shared object file' >&2\nexit 127\n"


def _environment(folder: Path, stub: str = _LOADS) -> Environment:
    """An environment with the files that matter here and a stand-in for the stub."""
    library = folder / "libpython3.11.so.1.0"
    library.touch()
    environment = Environment(folder / "environment", Interpreter(Path("/usr/bin/python3.11"), "3.11", library))
    python = environment.triton / "backends" / "python"
    stubs = environment.triton / "python_backend_stubs" / "3.11"
    for directory in (python, stubs):
        directory.mkdir(parents=True)
    (python / "libtriton_python.so").write_text("library")
    executable = stubs / "triton_python_backend_stub"
    executable.write_text(stub)
    executable.chmod(0o755)
    return environment


def test_it_holds_the_wheels_python_backend_and_ours(tmp_path: Path) -> None:
    with RuntimeDirectory(_environment(tmp_path)) as runtime:
        files = {str(path.relative_to(runtime.path)) for path in runtime.path.rglob("*") if path.is_file()}
    assert files == {
        "backends/python/libtriton_python.so",
        "backends/python/triton_python_backend_stub",
        "backends/onnxruntime/batching.py",
        "backends/onnxruntime/model.py",
        "backends/pytorch/batching.py",
        "backends/pytorch/model.py",
        "lib/libpython3.11.so.1.0",
    }


def test_it_is_removed_unless_handed_over(tmp_path: Path) -> None:
    environment = _environment(tmp_path)
    with RuntimeDirectory(environment) as removed:
        pass
    with RuntimeDirectory(environment) as kept:
        kept.hand_over()
    assert not removed.path.exists()
    assert kept.path.exists()
    shutil.rmtree(kept.path)


def test_the_servers_python_comes_first_and_the_callers_stays_out(tmp_path: Path) -> None:
    environment = _environment(tmp_path)
    with RuntimeDirectory(environment) as runtime:
        variables = runtime.environment_variables({"PATH": "/usr/bin", "PYTHONPATH": "/else", "HOME": "/root"}, 2)
    assert variables == {
        "PATH": f"{environment.directory / 'bin'}:/usr/bin",
        "HOME": "/root",
        "LD_LIBRARY_PATH": f"{runtime.path / 'lib'}:{environment.libraries}",
        "PELLUCID_TRITON_THREADS": "2",
    }


def test_a_stub_without_libpython_is_an_error_that_says_what_to_install(tmp_path: Path) -> None:
    with (
        RuntimeDirectory(_environment(tmp_path, _DOES_NOT_LOAD)) as runtime,
        pytest.raises(EnvironmentBuildError, match=r"libpython3\.11\.so\.1\.0.*apt install libpython3\.11"),
    ):
        runtime.check_stub({})


def test_a_stub_that_loads_passes(tmp_path: Path) -> None:
    with RuntimeDirectory(_environment(tmp_path)) as runtime:
        runtime.check_stub({})


@pytest.mark.parametrize("name", ["two words", "it's", "a;b"])
def test_its_paths_stand_up_to_a_shell(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary, repository = tmp_path / name, tmp_path / f"{name} too"
    temporary.mkdir()
    repository.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with RuntimeDirectory(_environment(tmp_path)) as runtime:
        link = runtime.link_repository(repository)
        assert runtime.path.parent == Path("/tmp")
        assert link.parent == runtime.path
        assert link.samefile(repository)
