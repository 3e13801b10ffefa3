"""Sources, moves and sweeps as they are written on a command line."""

from pathlib import Path

import numpy as np
import typer
from google.protobuf.json_format import Parse, ParseError

from pellucid.v1 import image_pb2
from pellucid_client.edits import Amount, Distance, Steps, Sweep, Target
from pellucid_client.sources import SourceLike

_UNITS: dict[str, type[Steps] | type[Target] | type[Distance]] = {
    "steps": Steps,
    "target": Target,
    "distance": Distance,
}


def sources(texts: list[str]) -> list[SourceLike]:
    """Read sources: `7`, seeds `0..15` (both included), `face.json` (a recipe), `latents.npy` (N, D)."""
    return [source for text in texts for source in _sources(text)]


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
        ends = int(_number(first, text)), int(_number(last, text))
        return Sweep(axis, [float(amount) for amount in range(ends[0], ends[1] + 1)], unit)
    return Sweep(axis, [_number(amount, text) for amount in rest.split(",")], unit)


def _sources(text: str) -> list[SourceLike]:
    path = Path(text)
    first, dots, last = text.partition("..")
    try:
        if path.suffix == ".json":
            return [Parse(path.read_text(), image_pb2.Recipe())]
        if path.suffix == ".npy":
            return [np.load(path, allow_pickle=False)]
        return list(range(int(first), int(last) + 1)) if dots else [int(text)]
    except (ValueError, ParseError, OSError) as error:
        raise typer.BadParameter(f"{text!r} is no seed, range of seeds, recipe or latents: {error}") from error


def _axis_unit_rest(text: str) -> tuple[str, type[Steps] | type[Target] | type[Distance], str]:
    axis, *unit, rest = text.split(":") if ":" in text else ["", text]
    if not axis or len(unit) > 1 or any(name not in _UNITS for name in unit):
        raise typer.BadParameter(f"{text!r} is not AXIS:AMOUNT or AXIS:(steps|target|distance):AMOUNT")
    return axis, _UNITS[unit[0] if unit else "steps"], rest


def _number(text: str, within: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} in {within!r} is no number") from error
