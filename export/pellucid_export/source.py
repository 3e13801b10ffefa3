"""Digests of the files a model is made from."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pellucid_export.errors import CheckpointError


def digest(path: Path) -> str:
    """SHA-256 of a checkpoint, a file or all files of a folder by name: `sha256:` and 64 digits.

    Raises CheckpointError where there is nothing at `path`.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return combined({file.relative_to(path).as_posix(): hex_digest(file) for file in files})
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file or folder")
    return file_digest(path)


def combined(files: Mapping[str, str]) -> str:
    """The digest of a checkpoint from its files' names and hexadecimal digests; a single file's is its own."""
    if len(files) == 1:
        return f"sha256:{next(iter(files.values()))}"
    listing = "".join(f"{value} {name}\n" for name, value in sorted(files.items()))
    return f"sha256:{hashlib.sha256(listing.encode()).hexdigest()}"


def file_digest(path: Path) -> str:
    """SHA-256 of a file: `sha256:` and 64 hexadecimal digits."""
    return f"sha256:{hex_digest(path)}"


def hex_digest(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
