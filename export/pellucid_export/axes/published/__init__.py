"""Sets of axes that were fitted for published generators and come with the package.

`published/<model>/<set>.safetensors` was written by `pellucid axes fit`; the report is docs/axes/<model>.md.
"""

import json
import os
import tempfile
from pathlib import Path

_FOLDER = Path(__file__).parent


def install(version: Path, weights_digest: str) -> list[Path]:
    """Copy the sets fitted for these weights into a version's `axes/`, under whatever name the model has.

    `version` is `<repository>/<model>/<version>`. Sets that are there already stay as they are.
    Returns what was copied.
    """
    installed = []
    for source in sorted(_FOLDER.glob("*/*.safetensors")):
        target = version / "axes" / source.name
        if not target.exists() and _weights_digest(source) == weights_digest:
            _copy(source, target)
            installed.append(target)
    return installed


def _weights_digest(path: Path) -> str:
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return str(json.loads(header["__metadata__"]["axis_set"]).get("weightsDigest", ""))


def _copy(source: Path, target: Path) -> None:
    """Whoever sees the copy sees all of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as file:
        file.write(source.read_bytes())
    os.chmod(file.name, 0o644)
    os.replace(file.name, target)
