"""The file of callers: its schema, read whole or not at all, and rewritten in one step."""

import fcntl
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any, Self

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pellucid_gateway.identity.caller import ANONYMOUS, NOBODY

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.@-]{0,62}$")]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Quota = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class CallersFileError(ValueError):
    """The file of callers cannot be used. The message names the place and none of the values."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class KeyEntry(_Part):
    """An API key: the hexadecimal SHA-256 of all of it stands for it."""

    id: Annotated[str, Field(pattern="^[0-9a-z]{4,32}$")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    created: AwareDatetime
    expires: AwareDatetime | None = None


class Role(_Part):
    """What a caller may do: patterns of models' names, and quotas, none where they are absent."""

    models: list[Text]
    images_per_minute: Quota | None = None
    bytes_per_minute: Quota | None = None


class CallerEntry(Role):
    """A caller: what they may do, and what they may prove themselves with."""

    name: Name
    admin: bool = False
    keys: list[KeyEntry] = []
    subjects: list[Text] = []
    claims: dict[str, Text] = {}
    certificates: list[Text] = []


class CallersDocument(_Part):
    """All callers; `tokens` is the role of tokens that name none of them, `anonymous` that of who shows nothing."""

    callers: list[CallerEntry] = []
    tokens: Role | None = None
    anonymous: Role | None = None

    @model_validator(mode="after")
    def _check_unique(self) -> Self:
        _refuse_twice("name", (caller.name for caller in self.callers))
        _refuse_twice("key id", (key.id for caller in self.callers for key in caller.keys))
        _refuse_twice("subject", (subject for caller in self.callers for subject in caller.subjects))
        _refuse_twice("certificate", (name for caller in self.callers for name in caller.certificates))
        if reserved := {ANONYMOUS.name, NOBODY.name} & {caller.name for caller in self.callers}:
            raise ValueError(f"the name {reserved.pop()!r} has a meaning of its own")
        return self


def read(path: Path) -> CallersDocument:
    """Read the file. Raises CallersFileError."""
    try:
        told = yaml.load(path.read_bytes(), yaml.CSafeLoader)
    except OSError as error:
        raise CallersFileError(f"{path} cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        # The error itself quotes the line, which may hold what somebody took for a place to keep a secret.
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise CallersFileError(f"{path} is no YAML: see line {line}") from None
    except (yaml.YAMLError, ValueError):
        raise CallersFileError(f"{path} is no YAML in UTF-8") from None
    return _checked(path, {} if told is None else told)


def update(path: Path, change: Callable[[CallersDocument], None]) -> None:
    """Change the file in one step, mode 0600; others who do so at the same time wait. Comments are not kept.

    Raises CallersFileError and OSError, and then leaves the file as it was; a file that is not there begins empty.
    """
    path = path.resolve()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        document = read(path) if path.exists() else CallersDocument()
        change(document)
        told = document.model_dump(exclude_defaults=True)
        _checked(path, told)
        _replace(path, yaml.safe_dump(told, sort_keys=False, allow_unicode=True))
        os.fsync(folder)
    finally:
        os.close(folder)


def _checked(path: Path, told: Any) -> CallersDocument:
    try:
        return CallersDocument.model_validate(told)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])) or 'it'}: {fault['msg']}" for fault in error.errors()]
        raise CallersFileError(f"{path} does not hold callers: {'; '.join(faults)}") from None


def _replace(path: Path, text: str) -> None:
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", encoding="utf-8", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def _refuse_twice(kind: str, names: Iterable[str]) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise ValueError(f"the {kind} {name!r} is there {times} times")
