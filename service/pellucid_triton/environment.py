"""The server's own Python environment, made on first use from a lock with hashes.

1. `ensure_environment("onnxruntime", cache)` digests the lock and the interpreter's version into a name.
2. A finished environment of that name is used as it is.
3. Otherwise, under a lock file, uv fills a partial folder beside it, which is renamed once it is complete.

It is a virtual environment, because the interpreter that the server's Python backend embeds looks for
one beside the first `python3` of PATH. Nothing that is used of it names its own path: it may be renamed.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from uv import find_uv_bin

from pellucid_triton.errors import EnvironmentBuildError
from pellucid_triton.interpreter import Interpreter, find_interpreter

LockName = Literal["onnxruntime", "pytorch"]

_MARKER = "complete"
_SIZE = {"onnxruntime": "about 0.3 GB", "pytorch": "about 5 GB, torch included"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Environment:
    """A finished environment."""

    directory: Path
    interpreter: Interpreter

    @property
    def packages(self) -> Path:
        """The folder site-packages."""
        return self.directory / "lib" / f"python{self.interpreter.version}" / "site-packages"

    @property
    def triton(self) -> Path:
        """Folder of the server's binary, its Python backend and its stubs."""
        return self.packages / "pytriton" / "tritonserver"

    @property
    def libraries(self) -> Path:
        """Folder of the shared libraries that the server's wheel brings."""
        return self.packages / "nvidia_pytriton.libs"


def ensure_environment(name: LockName, cache_dir: Path) -> Environment:
    """Return the environment of the lock `name`, making it first where it is missing or unfinished.

    Safe in several processes at once. Raises EnvironmentBuildError with uv's own words, and where the cache
    directory cannot be written.
    """
    interpreter = find_interpreter()
    lock = (resources.files("pellucid_triton") / "requirements" / f"{name}.txt").read_bytes()
    digest = hashlib.sha256(lock + str(interpreter).encode()).hexdigest()[:16]
    directory = cache_dir / digest
    try:
        if not _is_complete(directory):
            cache_dir.mkdir(parents=True, exist_ok=True)
            with _locked(cache_dir / f"{digest}.lock"):
                # Another process may have finished it while this one waited.
                if not _is_complete(directory):
                    _remove_unfinished(directory)
                    _log.info("making the embedded Triton's environment (%s) in %s", _SIZE[name], directory)
                    _build(lock, directory, interpreter)
    except OSError as error:
        raise EnvironmentBuildError(
            f"the cache {cache_dir} cannot be used ({error}); XDG_CACHE_HOME names the folder of another"
        ) from error
    return Environment(directory, interpreter)


def _is_complete(directory: Path) -> bool:
    return (directory / _MARKER).is_file()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_unfinished(directory: Path) -> None:
    for leftover in directory.parent.glob(f"{directory.name}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover)


def _build(lock: bytes, directory: Path, interpreter: Interpreter) -> None:
    partial = directory.with_name(f"{directory.name}.partial")
    _uv("venv", "--no-project", "--python", str(interpreter.executable), str(partial))
    requirements = partial / "requirements.txt"
    requirements.write_bytes(lock)
    install = ["pip", "install", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    _uv(*install, "--python", str(partial / "bin" / "python3"), "-r", str(requirements))
    (partial / _MARKER).touch()
    partial.rename(directory)


def _uv(*arguments: str) -> None:
    """Run uv and pass its words on to the log; raises EnvironmentBuildError with the last of them."""
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
    command = [find_uv_bin(), *arguments]
    lines = []
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None  # noqa: S101 - for the type checker
        try:
            for line in process.stderr:
                _log.info("uv: %s", line.rstrip())
                lines.append(line)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise EnvironmentBuildError(
            f"`uv {' '.join(arguments)}` failed with status {process.returncode}:\n{''.join(lines[-20:])}"
        )
