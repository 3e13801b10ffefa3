"""Sources, moves, sweeps, classes and mixes as they are written on a command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer
from google.protobuf.json_format import Parse, ParseError
from numpy.typing import NDArray

from pellucid.v1 import image_pb2
from pellucid_client.controls import ClassLike, StyleMix
from pellucid_client.edits import Amount, Distance, Steps, Sweep, Target
from pellucid_client.sources import SourceLike

MAX_SEEDS = 1_000_000
_MAX_AMOUNTS = 256

_UNITS: dict[str, type[Steps] | type[Target] | type[Distance]] = {
    "steps": Steps,
    "target": Target,
    "distance": Distance,
}


def sources(texts: list[str]) -> Sequence[SourceLike]:
    """Read sources: `7`, seeds `0..15` (both included), `face.json` (a recipe), `latents.npy` (N, D).

    Seeds `0..15` alone stay a `range`, which travels as two numbers.
    """
    if len(texts) == 1:
        return _sources(texts[0])
    return [source for text in texts for source in _sources(text)]


def array(path: Path) -> NDArray[Any]:
    """Read latents (N, D), or another array, from a file."""
    try:
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise typer.BadParameter(f"{str(path)!r} holds no array: {error}") from error


def moves(texts: list[str]) -> dict[str, Amount]:
    """Read moves: `happiness:2` (steps), `age:target:45`, `happiness:distance:0.4`."""
    read: dict[str, Amount] = {}
    for text in texts:
        axis, unit, amount = _axis_unit_rest(text)
        if axis in read:
            raise typer.BadParameter(f"{axis} is moved twice")
        read[axis] = unit(_number(amount, text))
    return read


def sweep(text: str | None) -> Sweep | None:
    """Read a sweep: `happiness:-4..4` (whole numbers, both included), `age:target:20,40,60`."""
    if text is None:
        return None
    axis, unit, rest = _axis_unit_rest(text)
    first, dots, last = rest.partition("..")
    if dots:
        return Sweep(axis, [float(amount) for amount in _whole_numbers(first, last, text, _MAX_AMOUNTS)], unit)
    return Sweep(axis, [_number(amount, text) for amount in rest.split(",")], unit)


def classes(texts: list[str]) -> dict[ClassLike, float]:
    """Read shares of classes: `great ape`, `294` (an index), `bee=0.25`; a share is 1 where none is given."""
    read: dict[ClassLike, float] = {}
    for text in texts:
        name, _, share = text.rpartition("=") if "=" in text else (text, "", "1")
        chosen = int(name) if name.isdecimal() else name
        if chosen in read:
            raise typer.BadParameter(f"class {name} is given twice")
        read[chosen] = _number(share, text)
    return read


def mixes(texts: list[str]) -> list[StyleMix]:
    """Read style mixes: `7:4-11` takes layers 4 to 11 from seed 7; a recipe or a latent may stand for the seed."""
    return [_mix(text) for text in texts]


def _mix(text: str) -> StyleMix:
    source, _, layers = text.rpartition(":")
    first, _, last = layers.partition("-")
    if not (source and first.isdecimal() and last.isdecimal()):
        raise typer.BadParameter(f"{text!r} is not SEED:FIRST-LAST")
    starts = _sources(source)
    if len(starts) != 1:
        raise typer.BadParameter(f"{source!r} in {text!r} means {len(starts)} sources, not one")
    return StyleMix(starts[0], int(first), int(last))


def _sources(text: str) -> Sequence[SourceLike]:
    path = Path(text)
    first, dots, last = text.partition("..")
    try:
        if path.suffix == ".json":
            return [Parse(path.read_text(), image_pb2.Recipe())]
        if path.suffix == ".npy":
            return [array(path)]
        return _whole_numbers(first, last, text, MAX_SEEDS) if dots else [int(text)]
    except (ValueError, ParseError, OSError) as error:
        raise typer.BadParameter(f"{text!r} is no seed, range of seeds, recipe or latents: {error}") from error


def _axis_unit_rest(text: str) -> tuple[str, type[Steps] | type[Target] | type[Distance], str]:
    axis, *unit, rest = text.split(":") if ":" in text else ["", text]
    if not axis or len(unit) > 1 or any(name not in _UNITS for name in unit):
        raise typer.BadParameter(f"{text!r} is not AXIS:AMOUNT or AXIS:(steps|target|distance):AMOUNT")
    return axis, _UNITS[unit[0] if unit else "steps"], rest


def _whole_numbers(first: str, last: str, within: str, most: int) -> range:
    try:
        low, high = int(first), int(last)
    except ValueError as error:
        raise typer.BadParameter(f"{first!r} and {last!r} in {within!r} are not both whole numbers") from error
    if not 1 <= high - low + 1 <= most:
        raise typer.BadParameter(f"{within!r} means {max(high - low + 1, 0)} numbers, not 1 to {most}")
    return range(low, high + 1)


def _number(text: str, within: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} in {within!r} is no number") from error
