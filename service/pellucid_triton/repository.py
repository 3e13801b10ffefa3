"""What the launcher needs to know of a model repository."""

import re
from pathlib import Path

_PYTORCH = re.compile(r'^\s*(backend\s*:\s*"pytorch"|platform\s*:\s*"pytorch_libtorch")', re.MULTILINE)


def model_names(repository: Path) -> tuple[str, ...]:
    """Return the names of the repository's model directories, sorted: those that hold a config.pbtxt."""
    return tuple(sorted(path.parent.name for path in repository.glob("*/config.pbtxt")))


def wants_pytorch(repository: Path) -> bool:
    """Say whether any model of the repository is TorchScript."""
    configurations = (repository / name / "config.pbtxt" for name in model_names(repository))
    return any(_PYTORCH.search(path.read_text(errors="replace")) for path in configurations)
