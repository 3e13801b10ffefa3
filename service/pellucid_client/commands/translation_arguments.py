"""Targets, values, edits and sizes of translations as they are written on a command line."""

import re
from collections.abc import Sequence
from pathlib import Path

import typer

from pellucid_client.scene import Paste, Relabel
from pellucid_client.targets import Change

_PASTE = re.compile(r"(?P<mask>.+):(?P<label>\d+)@(?P<top>-?\d+),(?P<left>-?\d+)")
_SIZE = re.compile(r"(?P<height>\d*)x(?P<width>\d*)")


def changes(texts: Sequence[str], values: dict[str, float]) -> list[Change]:
    """Read targets: `fair,hat` (one each), `fair+hat` (changed together), `moods:calm` (of a second set).

    `values` hold for each of them, and are a target where there is none.
    """
    names = [name for text in texts for name in text.split(",")]
    if not names:
        return [Change(values=values)] if values else []
    return [_change(name, values) for name in names]


def shares(texts: Sequence[str]) -> dict[str, float]:
    """Read numbers by name: `Smiling=1`, `Young=0`."""
    read: dict[str, float] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1
        if not name or not 0 <= value <= 1:
            raise typer.BadParameter(f"{text!r} is not NAME=0 or NAME=1")
        if name in read:
            raise typer.BadParameter(f"{name} is given twice")
        read[name] = value
    return read


def whole_numbers(texts: Sequence[str], form: str) -> dict[int, int]:
    """Read whole numbers by instance: `24001=7`; `form` says what the two are."""
    read: dict[int, int] = {}
    for text in texts:
        instance, _, number = text.partition("=")
        if not (instance.isdecimal() and number.isdecimal()):
            raise typer.BadParameter(f"{text!r} is not {form}")
        if int(instance) in read:
            raise typer.BadParameter(f"instance {instance} is given twice")
        read[int(instance)] = int(number)
    return read


def relabels(texts: Sequence[str]) -> list[Relabel]:
    """Read relabelled instances: `24001=7`."""
    return [Relabel(instance, label) for instance, label in whole_numbers(texts, "ID=LABEL").items()]


def pastes(texts: Sequence[str]) -> list[Paste]:
    """Read pasted instances: `mask.png:26@10,-4` has label 26, and its upper left pixel in row 10, column -4."""
    return [_paste(text) for text in texts]


def size(text: str | None) -> tuple[int | None, int | None]:
    """Read a height and a width: `256x512`; `256x` and `x512` are one of the two alone."""
    found = _SIZE.fullmatch(text or "x")
    if found is None or text == "x":
        raise typer.BadParameter(f"{text!r} is not HEIGHTxWIDTH")
    height, width = (int(side) if side else None for side in found.groups())
    return height, width


def _change(text: str, values: dict[str, float]) -> Change:
    of, _, together = text.rpartition(":")
    names = together.split("+")
    if not all(names):
        raise typer.BadParameter(f"{text!r} is not NAME, NAME+NAME or SET:NAME")
    return Change(*names, values=values, of=of)


def _paste(text: str) -> Paste:
    found = _PASTE.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not MASK.png:LABEL@TOP,LEFT")
    mask = Path(found["mask"])
    if not mask.is_file():
        raise typer.BadParameter(f"{found['mask']!r} in {text!r} is no file")
    return Paste(mask, int(found["label"]), int(found["top"]), int(found["left"]))
