"""The folder that one running server lives from: backends, libpython, self-check; made for each start.

<runtime>/backends/python/        the wheel's backend and the stub of the interpreter's version
<runtime>/backends/onnxruntime/   our python-based backends
<runtime>/backends/pytorch/
<runtime>/lib/                    libpython, so that nothing else of its folder is on the library path
<runtime>/repository              a link to the model repository

The server starts its stubs through a shell, and quotes no path: not the stub's, not the models'. So all of
them begin with this folder, whose own path is one that a shell leaves as it is.
"""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from pellucid_triton.environment import Environment
from pellucid_triton.errors import EnvironmentBuildError

_BACKENDS = ("onnxruntime", "pytorch")


class RuntimeDirectory:
    """Assembles the folder from an environment.

    As a context manager it removes the folder, unless somebody else has taken charge of it.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.path = Path(tempfile.mkdtemp(prefix="pellucid-triton-", dir=_parent()))
        self.backends = self.path / "backends"
        self._stub = self._copy_python_backend()
        self._copy_our_backends()
        self._link_libpython()
        self._is_handed_over = False

    def __enter__(self) -> "RuntimeDirectory":
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_handed_over:
            shutil.rmtree(self.path)

    def hand_over(self) -> Path:
        """Return the folder to one who will remove it."""
        self._is_handed_over = True
        return self.path

    def link_repository(self, repository: Path) -> Path:
        """Return a path of the model repository that stands up to the server's shell."""
        link = self.path / "repository"
        link.symlink_to(repository.resolve())
        return link

    def environment_variables(self, base: Mapping[str, str], threads: int) -> dict[str, str]:
        """Return the server's environment: the base without the caller's Python, with the server's own."""
        variables = {name: value for name, value in base.items() if not name.startswith("PYTHON")}
        return variables | {
            "LD_LIBRARY_PATH": f"{self.path / 'lib'}:{self._environment.libraries}",
            # NOTE: the stub passes over PYTHONPATH and PYTHONHOME. It takes the packages of the first
            # python3 of PATH; without this, those of whatever Python is there, its numpy 2 among them.
            "PATH": f"{self._environment.directory / 'bin'}:{base.get('PATH', os.defpath)}",
            "PELLUCID_TRITON_THREADS": str(threads),
        }

    def check_stub(self, variables: Mapping[str, str]) -> None:
        """Raise EnvironmentBuildError when the loader cannot load the stub."""
        # Without arguments a stub that loads complains and ends; the loader's own failure is 127.
        trial = subprocess.run([self._stub], env=dict(variables), capture_output=True, text=True)
        if trial.returncode == 127:
            name = self._environment.interpreter.library_name
            version = self._environment.interpreter.version
            raise EnvironmentBuildError(
                f"the embedded Triton needs the shared library {name}, which "
                f"{self._environment.interpreter.executable} was built without: install it "
                f"(Debian and Ubuntu: `apt install libpython{version}`) or use a Python built with --enable-shared "
                f"({trial.stderr.strip()})"
            )

    def _copy_python_backend(self) -> Path:
        version = self._environment.interpreter.version
        folder = self.backends / "python"
        folder.mkdir(parents=True)
        name = "triton_python_backend_stub"
        stub = self._environment.triton / "python_backend_stubs" / version / name
        for source in [*(self._environment.triton / "backends" / "python").iterdir(), stub]:
            # NOTE: a copy, because the server refuses a backend whose file lies outside of its folder.
            shutil.copy(source, folder)
        return folder / name

    def _copy_our_backends(self) -> None:
        sources = resources.files("pellucid_triton") / "backends"
        for name in _BACKENDS:
            folder = self.backends / name
            folder.mkdir()
            for source in (sources / name / "model.py", sources / "shared" / "batching.py"):
                (folder / source.name).write_bytes(source.read_bytes())

    def _link_libpython(self) -> None:
        folder = self.path / "lib"
        folder.mkdir()
        library = self._environment.interpreter.library
        if library is not None:
            (folder / library.name).symlink_to(library)


def _parent() -> str:
    usual = tempfile.gettempdir()
    return usual if shlex.quote(usual) == usual else "/tmp"  # noqa: S108 - mkdtemp makes the name and the folder
