"""The model repository: Triton's folders, read and written as a whole.

<root>/<model>/config.pbtxt            what all versions share: tensors, batching, the card
<root>/<model>/<version>/model.onnx    or model.pt
<root>/<model>/<version>/version.json  pellucid.v1.Version; never changes after publication
<root>/<model>/<version>/axes/         sets of axes, added later (`pellucid_export.axes`)

A model or version is prepared in `<root>/.partial`, which no server takes for a model, and renamed into place.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.protobuf import json_format

from pellucid.v1.model_pb2 import Model, Version
from pellucid_export import card, triton
from pellucid_export.errors import RepositoryError, SignatureError
from pellucid_export.form import Form

CONFIG_FILE = "config.pbtxt"
VERSION_FILE = "version.json"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_PARTIAL = ".partial"


def check_name(name: str) -> None:
    """Raise RepositoryError for a name that no model may have."""
    if not _NAME.fullmatch(name):
        raise RepositoryError(
            f"model name '{name}' must be 1 to 63 lower-case letters, digits, '-' and '_', and begin with no sign"
        )


class Repository:
    """The model repository in a folder, which need not exist yet."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Names of the primary models, those with a card."""
        configs = sorted(self.root.glob(f"[!.]*/{CONFIG_FILE}"))
        return [path.parent.name for path in configs if triton.CARD in triton.read(path).parameters]

    def config(self, name: str) -> triton.ModelConfig:
        """The configuration of a Triton model. Raises RepositoryError where there is none."""
        return triton.read(self.root / name / CONFIG_FILE)

    def card(self, name: str) -> Model:
        """The model's card as export wrote it. Raises RepositoryError where there is no such model or card."""
        return card.from_json(self._parameter(name, triton.CARD))

    def form(self, name: str) -> Form:
        """What the model's latest export was asked for. Raises RepositoryError where that is not known."""
        try:
            return Form.from_json(self._parameter(name, triton.FORM))
        except (ValueError, TypeError, KeyError) as error:
            raise RepositoryError(f"parameter {triton.FORM} of '{name}' cannot be read: {error}") from error

    def versions(self, name: str) -> list[int]:
        """The model's versions, oldest first."""
        folders = (self.root / name).glob("[1-9]*")
        return sorted(int(folder.name) for folder in folders if folder.is_dir() and folder.name.isdigit())

    def directory(self, name: str, version: int | None = None) -> Path:
        """The folder of a version, by default the latest. Raises RepositoryError where there is none."""
        versions = self.versions(name)
        if not versions or version not in (None, *versions):
            listed = ", ".join(map(str, versions)) or "none"
            raise RepositoryError(f"'{name}' has no version {version or 1} in {self.root}; it has: {listed}")
        return self.root / name / str(version or versions[-1])

    def version(self, name: str, version: int | None = None) -> Version:
        """What version.json says. Raises RepositoryError where it is missing or unreadable."""
        path = self.directory(name, version) / VERSION_FILE
        try:
            return json_format.Parse(path.read_text(encoding="utf-8"), Version())
        except (OSError, UnicodeDecodeError, json_format.ParseError) as error:
            raise RepositoryError(f"{VERSION_FILE} of '{name}' version {path.parent.name}: {error}") from error

    def is_current(self, name: str, form: Form) -> bool:
        """Whether the model's latest export was asked for in this very form, and its graph is there."""
        try:
            return self.form(name) == form and (self.directory(name) / triton.MODEL_FILE[form.format]).is_file()
        except RepositoryError:
            return False  # missing or left half made: to be made again

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty folder on the repository's file system; what is left in it at the end is deleted.

        One process at a time has it; others wait. What a killed one left behind is deleted too.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        folder = self.root / _PARTIAL
        lock = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)

    def check_signature(self, name: str, config: triton.ModelConfig) -> None:
        """Raise SignatureError where the model exists with another backend, other tensors or another card."""
        if not (self.root / name).exists():
            return
        old = self.config(name)
        changed = [part for part in ("backend", "input", "output") if getattr(old, part) != getattr(config, part)]
        if triton.CARD in config.parameters and not changed:
            new_card = card.from_json(config.parameters[triton.CARD].string_value)
            changed = [f"card.{part}" for part in card.differences(self.card(name), new_card)]
        if changed:
            raise SignatureError(
                f"'{name}' exists with another {', '.join(changed)}: a different signature is a new model,"
                " export it under another name"
            )

    def publish(self, staged: Path, name: str, version: str) -> Path:
        """Move `staged`, a folder with config.pbtxt and a version, into place, on disk before it is visible.

        The version appears at once and whole; an existing model's config.pbtxt is replaced after it.
        """
        _sync(staged)
        model = self.root / name
        if not model.exists():
            os.rename(staged, model)
        else:
            os.rename(staged / version, model / version)
            os.replace(staged / CONFIG_FILE, model / CONFIG_FILE)
            _sync_one(model)
        _sync_one(self.root)
        return model / version

    def reconfigure(self, staged: Path, name: str) -> None:
        """Replace an existing model's config.pbtxt with the one in `staged`."""
        _sync(staged)
        os.replace(staged / CONFIG_FILE, self.root / name / CONFIG_FILE)
        _sync_one(self.root / name)

    def _parameter(self, name: str, key: str) -> str:
        config = self.config(name)
        if key not in config.parameters:
            raise RepositoryError(f"config.pbtxt of '{name}' has no parameter {key}")
        value: str = config.parameters[key].string_value
        return value


def write_version(version: Version, directory: Path) -> None:
    """Write version.json."""
    (directory / VERSION_FILE).write_text(json_format.MessageToJson(version) + "\n", encoding="utf-8")


def _sync(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        _sync_one(path)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
