"""The demo's pictures."""

from collections.abc import Sequence

from pellucid_client.client import Client
from pellucid_client.edits import Sweep
from pellucid_client.image import Image
from pellucid_client.sheet import ContactSheet, Row


def axes_sheet(
    client: Client, model: str, axes: Sequence[str], seeds: Sequence[int], steps: Sequence[float]
) -> ContactSheet:
    """Return a sheet with, for each identity, a row for each axis: the identity moved by each number of steps."""
    swept = {axis: _sweep(client, model, axis, seeds, steps) for axis in axes}
    rows: list[Row] = []
    for number, seed in enumerate(seeds):
        rows.append(Row(f"identity {seed}"))
        rows += [Row(axis, images[number]) for axis, images in swept.items()]
    return ContactSheet(rows, _captions(steps), f"{model}: steps along each axis")


def locks_sheet(
    client: Client, model: str, pairs: Sequence[tuple[str, str]], seeds: Sequence[int], steps: Sequence[float]
) -> ContactSheet:
    """Return a sheet with two rows for each identity and pair: the first axis moved, the second free and locked."""
    swept = {
        f"{moved}, {locked} locked" if lock else moved: _sweep(client, model, moved, seeds, steps, lock)
        for moved, locked in pairs
        for lock in ([], [locked])
    }
    rows: list[Row] = []
    for number, seed in enumerate(seeds):
        rows.append(Row(f"identity {seed}"))
        rows += [Row(caption, images[number]) for caption, images in swept.items()]
    return ContactSheet(rows, _captions(steps), f"{model}: steps with and without a lock")


def _sweep(
    client: Client,
    model: str,
    axis: str,
    seeds: Sequence[int],
    steps: Sequence[float],
    locks: Sequence[str] = (),
) -> list[list[Image]]:
    """Return the images of each seed, one for each number of steps."""
    images = list(client.stream_edit(seeds, sweep=Sweep(axis, steps), locks=locks, model=model, format="webp"))
    across = len(steps)
    return [images[start : start + across] for start in range(0, len(images), across)]


def _captions(steps: Sequence[float]) -> list[str]:
    return [f"{amount:+g}" if amount else "0" for amount in steps]
