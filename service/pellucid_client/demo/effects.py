"""What moving along axes does, measured: images are generated, moved, and labelled again by the axes' classifiers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid.v1 import axis_pb2
from pellucid_client.client import Client
from pellucid_client.image import Image
from pellucid_client.names import short_name


@dataclass(frozen=True)
class Effect:
    """The change of one label over all the seeds."""

    moved: str
    """The axis that was moved."""
    label: str
    """The label that was measured."""
    locked: str
    """The axis that was locked; empty where none was."""
    before: float
    """Mean of the label before the move, in the label's unit, as `after` and `change`."""
    after: float
    change: float
    standard_error: float
    """Of `change`."""
    raised_share: float
    """Share of seeds whose label is higher after the move, 0 to 1."""


class Effects:
    """Measures effects on the same seeds; what they look like unmoved is generated and labelled once."""

    def __init__(self, client: Client, model: str, seeds: range, steps: float) -> None:
        self._client = client
        self._model = model
        self._seeds = seeds
        self._steps = steps
        self._unmoved = self._images(None, ())
        self._before: dict[str, NDArray[np.float64]] = {}

    def of(
        self, moved: axis_pb2.Axis, measured: Sequence[axis_pb2.Axis], locked: axis_pb2.Axis | None = None
    ) -> list[Effect]:
        """Return what moving one axis does to the labels of some, with at most one axis locked."""
        lock = short_name(locked.name) if locked is not None else ""
        images = self._images(short_name(moved.name), [lock] if lock else [])
        return [self._effect(short_name(moved.name), lock, images, axis.extractor) for axis in measured]

    def _effect(self, moved: str, locked: str, images: list[Image], extractor: str) -> Effect:
        if extractor not in self._before:
            self._before[extractor] = self._labels(self._unmoved, extractor)
        before, after = self._before[extractor], self._labels(images, extractor)
        changes = after - before  # (N,)
        return Effect(
            moved=moved,
            label=extractor.partition("#")[2],
            locked=locked,
            before=float(before.mean()),
            after=float(after.mean()),
            change=float(changes.mean()),
            standard_error=float(changes.std(ddof=1) / np.sqrt(len(changes))),
            raised_share=float((changes > 0).mean()),
        )

    def _images(self, axis: str | None, locks: Sequence[str]) -> list[Image]:
        moves = {axis: self._steps} if axis else {}
        return list(self._client.stream_edit(self._seeds, moves, locks=locks, model=self._model, format="raw"))

    def _labels(self, images: list[Image], extractor: str) -> NDArray[np.float64]:
        classifier, _, label = extractor.partition("#")
        return np.array([analysis[label] for analysis in self._client.stream_analyze(classifier, images)])
