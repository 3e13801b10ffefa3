"""Signing a model repository, so that a gateway serves what was signed and nothing else.

    manifest.json   {"format": "pellucid-manifest/1", "files": {"<model>/<path>": {"sha256": ..., "size": ...}}}
    manifest.sig    Ed25519 over the bytes of manifest.json

The same files give the same bytes in both. `pellucid_gateway.manifest` reads them.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from pellucid_export.errors import RepositoryError
from pellucid_export.repository import CONFIG_FILE, Repository
from pellucid_export.source import hex_digest

FORMAT = "pellucid-manifest/1"
MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.sig"


def make_keys(private: Path) -> Path:
    """Write a new private key, readable by its owner alone, and beside it the public one; return the public one's path.

    Raises RepositoryError where a file is in the way.
    """
    public = private.with_suffix(".pub")
    key = Ed25519PrivateKey.generate()
    files = {
        private: (key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600),
        public: (key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644),
    }
    for path in files:
        if path.exists():
            raise RepositoryError(f"{path} exists already: a key that was signed with must not be lost")
    for path, (content, mode) in files.items():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
    return public


def sign(repository: Repository, key_file: Path) -> dict[str, list[int]]:
    """Write manifest.json and manifest.sig; return the signed models and their versions.

    Raises RepositoryError for a link or another thing that is no regular file, for a repository without models, and
    for a key that is none.
    """
    key = _private_key(key_file)
    with repository.staging() as staged:
        models = sorted(path.parent for path in repository.root.glob(f"[!.]*/{CONFIG_FILE}"))
        if not models:
            raise RepositoryError(f"{repository.root} holds no models to sign")
        files = {file.relative_to(repository.root).as_posix(): file for model in models for file in _files(model)}
        listed = {name: {"sha256": hex_digest(file), "size": file.stat().st_size} for name, file in files.items()}
        content = json.dumps({"files": listed, "format": FORMAT}, indent=1, sort_keys=True).encode() + b"\n"
        # The signature first: a reader between the two keeps to the manifest that it has.
        for name, data in ((SIGNATURE_FILE, key.sign(content)), (MANIFEST_FILE, content)):
            _write(staged / name, data)
            os.replace(staged / name, repository.root / name)
    return {model.name: repository.versions(model.name) for model in models}


def _private_key(file: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise RepositoryError(f"{file} holds no private key in PEM without a password: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise RepositoryError(f"{file} holds a key of another kind: {type(key).__name__}, and Ed25519 is needed")
    return key


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise RepositoryError(f"{path} is no regular file: what is signed must lie in the repository itself")
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        os.fsync(file.fileno())
