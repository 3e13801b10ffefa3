"""The signed manifest of a repository: which files may be served, by digest.

    manifest.json   {"format": "pellucid-manifest/1", "files": {"<model>/<path>": {"sha256": ..., "size": ...}}}
    manifest.sig    Ed25519 over the bytes of manifest.json

A model is served only while the files in its folder are exactly those that were signed. Sets of axes are the one
exception: they come beside a version that serves, so one that is not signed yet is passed over alone.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from upath import UPath

MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.sig"

_CONFIG = re.compile(r"[^/.][^/]*/config\.pbtxt")
_AXES = re.compile(r"[^/]+/[0-9]+/axes/[^/]+\.safetensors")
_log = structlog.get_logger()

Info = Mapping[str, Any]
"""What a file system says of a file; any change of it means that the file is to be read again."""


def _inside(path: str) -> str:
    if not path.isprintable() or "\\" in path or {"", ".", ".."} & set(path.split("/")):
        raise ValueError("a path must be relative, with '/' between its parts and without '.' or '..'")
    return path


class _Signed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["pellucid-manifest/1"]
    files: dict[Annotated[str, AfterValidator(_inside)], _Signed]


@dataclass(frozen=True)
class Verdict:
    """What a check found of one model: why it must not be served, or nothing, and its sets of axes to pass over.

    `unsigned_axes` are paths from the repository's root.
    """

    fault: str = ""
    unsigned_axes: frozenset[str] = frozenset()


class Manifest:
    """The manifest of the repository at `repository`, trusted where it is signed with `key`.

    What was read is remembered by what the file system says of it, so that only changed files are read again. A new
    manifest that is not signed rightly leaves the one before in force.
    """

    def __init__(self, repository: UPath, key: Ed25519PublicKey):
        self._repository = repository.absolute()
        self._key = key
        self._read: tuple[Info | None, Info | None] | None = None
        self._content: _Content | None = None
        self._digests: dict[str, tuple[Info, str]] = {}
        self.fault = "not read yet"
        """What is wrong with the newest manifest; empty where nothing is."""

    def check(self, models: Collection[str] | None = None) -> dict[str, Verdict]:
        """Compare models' files with the manifest; by default all models that it names or the repository holds.

        It may read every file as a whole: call it in a thread.
        """
        try:
            listing = self._listing()
        except OSError as error:
            self._refuse(f"the repository cannot be listed: {error}")
            return dict.fromkeys(models or (), Verdict(self.fault))
        self._update(listing)
        self._digests = {path: seen for path, seen in self._digests.items() if listing.get(path) == seen[0]}
        return {model: self._verdict(model, listing) for model in (self._all(listing) if models is None else models)}

    def _all(self, listing: Mapping[str, Info]) -> list[str]:
        signed = {path.partition("/")[0] for path in (self._content.files if self._content else ())}
        return sorted(signed | {path.split("/")[0] for path in listing if _CONFIG.fullmatch(path)})

    def _listing(self) -> dict[str, Info]:
        """What the file system says of each file, by its path from the root; links are told, not followed."""
        files, root = self._repository.fs, self._repository.path.rstrip("/")
        files.invalidate_cache()
        return {path.removeprefix(f"{root}/"): info for path, info in files.find(root, detail=True).items()}

    def _update(self, listing: Mapping[str, Info]) -> None:
        infos = listing.get(MANIFEST_FILE), listing.get(SIGNATURE_FILE)
        if infos == self._read:
            return
        try:
            content = (self._repository / MANIFEST_FILE).read_bytes()
            self._key.verify((self._repository / SIGNATURE_FILE).read_bytes(), content)
            self._content = _Content.model_validate_json(content)
        except InvalidSignature:
            self._refuse(f"{SIGNATURE_FILE} is not this key's signature of {MANIFEST_FILE}")
        except ValidationError as error:
            first = error.errors()[0]
            self._refuse(f"{MANIFEST_FILE} is no manifest: {'.'.join(map(str, first['loc']))}: {first['msg']}")
        except OSError as error:
            self._refuse(f"{MANIFEST_FILE} cannot be read: {error}")
        else:
            self._read, self.fault = infos, ""

    def _refuse(self, fault: str) -> None:
        if fault != self.fault:
            _log.error("manifest refused", reason=fault, an_older_one_holds=self._content is not None)
        self.fault = fault

    def _verdict(self, model: str, listing: Mapping[str, Info]) -> Verdict:
        if self._content is None:
            return Verdict(self.fault)
        signed = {path: file for path, file in self._content.files.items() if path.startswith(f"{model}/")}
        if not signed:
            return Verdict(f"{model} is not in {MANIFEST_FILE}")
        found = {path: info for path, info in listing.items() if path == model or path.startswith(f"{model}/")}
        unsigned_axes = {path for path in found.keys() - signed.keys() if _AXES.fullmatch(path)}
        kept = {path: info for path, info in found.items() if path not in unsigned_axes}
        try:
            fault = next(self._faults(kept, signed), "")
        except OSError as error:
            fault = f"{model} cannot be read: {error}"
        return Verdict(fault, frozenset(unsigned_axes))

    def _faults(self, found: Mapping[str, Info], signed: Mapping[str, _Signed]) -> Iterator[str]:
        yield from (f"{path} is not in {MANIFEST_FILE}" for path in sorted(found.keys() - signed.keys()))
        yield from (f"{path} is missing" for path in sorted(signed.keys() - found.keys()))
        for path, file in signed.items():
            info = found[path]
            if info["type"] != "file":
                yield f"{path} is no regular file"
            elif info["size"] != file.size:
                yield f"{path} has {info['size']} bytes, and {file.size} were signed"
            elif self._digest(path, info) != file.sha256:
                yield f"{path} has other content than was signed"

    def _digest(self, path: str, info: Info) -> str:
        if path not in self._digests:
            root = self._repository.path.rstrip("/")
            with self._repository.fs.open(f"{root}/{path}", "rb") as file:
                # It reads in chunks: a model of gigabytes takes no memory.
                self._digests[path] = info, hashlib.file_digest(file, "sha256").hexdigest()
        return self._digests[path][1]


def load_key(file: Path) -> Ed25519PublicKey:
    """Read an Ed25519 public key in PEM. Raises OSError, and ValueError for anything else."""
    try:
        key = load_pem_public_key(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file} holds no public key in PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{file} holds a key of another kind: {type(key).__name__}, and Ed25519 is needed")
    return key
