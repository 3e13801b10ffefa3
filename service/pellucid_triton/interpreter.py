"""The Python interpreter that the server's Python backend embeds."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from pellucid_triton.errors import EnvironmentBuildError

# NOTE: the server's wheel has a stub for 3.13 too, but numpy < 2 has no wheel for that version.
_SUPPORTED = ((3, 11), (3, 12))
_REQUEST = ">=3.11,<3.13"

_QUESTION = """
import json, sys, sysconfig
value = lambda name: sysconfig.get_config_var(name) or ""
print(json.dumps({
    "executable": sys.executable,
    "version": "%d.%d" % sys.version_info[:2],
    "folders": [value("LIBDIR"), value("LIBDIR") + "/" + value("MULTIARCH"), sys.base_prefix + "/lib"],
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """An interpreter and what embedding it takes."""

    executable: Path
    version: str
    """Major and minor, as in `3.11`."""
    library: Path | None
    """The shared libpython, or None where only the system's loader may know it."""

    @property
    def library_name(self) -> str:
        """File name of the shared libpython that the stub is linked with."""
        return f"libpython{self.version}.so.1.0"


def find_interpreter() -> Interpreter:
    """Return the interpreter behind the running one, or an installed one that the server can embed.

    Raises EnvironmentBuildError when there is none; nothing is downloaded.
    """
    if sys.version_info[:2] in _SUPPORTED:
        running = "python{}.{}".format(*sys.version_info[:2])
        return _describe(Path(sys.base_prefix) / "bin" / running)
    return _describe(_installed())


def _installed() -> Path:
    command = [find_uv_bin(), "python", "find", "--system", "--no-python-downloads", "--no-project", _REQUEST]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        raise EnvironmentBuildError(
            "the embedded Triton needs Python 3.11 or 3.12, because its Python backend needs numpy < 2, "
            "which has no wheels for later versions; running is {}.{}, and no other was found".format(
                *sys.version_info[:2]
            )
        )
    return Path(found.stdout.strip())


def _describe(executable: Path) -> Interpreter:
    try:
        # -I keeps the caller's PYTHONPATH and folder out of the answer.
        answer = subprocess.run([executable, "-I", "-c", _QUESTION], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise EnvironmentBuildError(f"the interpreter {executable} cannot be run: {error}") from error
    facts = json.loads(answer.stdout)
    name = f"libpython{facts['version']}.so.1.0"
    candidates = [Path(folder) / name for folder in facts["folders"] if folder]
    library = next((path for path in candidates if path.is_file()), None)
    return Interpreter(Path(facts["executable"]), facts["version"], library)
