"""What moving along axes does, measured: move the points of fresh seeds, generate, label again.

All effects are on the scale of the labels' predictors (`links`): log odds of probabilities, quantities as they are.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from pellucid.v1.axis_pb2 import Link
from pellucid_export.axes import locks
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.ledger import CHUNK, Ledger
from pellucid_export.axes.links import predictor
from pellucid_export.axes.regression import Regression
from pellucid_export.axes.world import World

Values = npt.NDArray[np.float64]
Advance = Callable[[int], None]

STEPS = (-8.0, -6.0, -4.0, -3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
"""How far the points are moved along each axis."""

RAISED_STEPS = 2.0
"""The move after which the share of raised labels is counted."""

LINEAR_TOLERANCE = 0.2
"""The largest departure from proportionality, as a share of the proportional response, within the linear range."""

HARD_LIMIT_STEPS = 8.0
"""A normal prior's width along any direction: from -4 to +4 standard deviations lie 99.994 % of the latents, so a
longer move cannot end among them wherever it starts."""


@dataclass(frozen=True)
class Response:
    """What moving along one axis did to its own label.

    `means` are the mean changes of the predictor after each of `STEPS`.
    """

    per_step: float
    standard_error: float
    raised_share: float
    samples: int
    linear_range: float
    means: tuple[float, ...]


@dataclass(frozen=True)
class Responses:
    """`own` has a response an axis; `effects` and `locked` (K, K) the change of label j, in its standard deviations,
    by one step along axis i, the latter with axis j locked (NaN on the diagonal and where j leaves too little of i)."""

    own: tuple[Response, ...]
    effects: Values
    locked: Values


def work(images: int, axes: int) -> int:
    """How many images `measure` labels, for showing progress."""
    return images * (1 + axes * len(STEPS)) + _few(images) * 2 * axes * (axes - 1)


def measure(
    world: World, seeds: Sequence[int], axes: Sequence[Regression], ledger: Ledger, advance: Advance
) -> Responses:
    """Move the points of fresh seeds along every axis; axis k was fitted to label k of the world.

    The ledger keeps the labels. `advance` is told the number of images labelled since it was last called.
    """
    mover = _Mover(world, seeds, axes, ledger, advance)
    every = range(len(axes))
    before = mover.after(np.zeros(world.generator.size), every)
    own, effects = [], []
    for index, axis in enumerate(axes):
        ends = {step: mover.after(step * axis.step, every) for step in (-1.0, 1.0)}
        after = {
            step: ends[step][:, index] if step in ends else mover.after(step * axis.step, [index])[:, 0]
            for step in STEPS
        }
        own.append(_own(axis.link, before[:, index], after))
        effects.append((mover.predictors(ends[1.0]) - mover.predictors(ends[-1.0])).mean(axis=0) / 2)
    spreads = np.array([axis.spread for axis in axes])
    few = _Mover(world, seeds[::2], axes, ledger, advance)
    locked = np.array([[_locked(few, i, j) for j in every] for i in every])
    return Responses(tuple(own), np.array(effects) / spreads, locked / spreads)


class _Mover:
    """Labels of the images of seeds after a displacement of their points."""

    def __init__(
        self, world: World, seeds: Sequence[int], axes: Sequence[Regression], ledger: Ledger, advance: Advance
    ) -> None:
        self._world, self._seeds, self._ledger, self._advance = world, seeds, ledger, advance
        self.axes = axes

    def after(self, move: Values, wanted: Sequence[int]) -> Values:
        """Those labels (N, K) that are wanted, after a displacement (D,)."""
        firsts = range(0, len(self._seeds), CHUNK)
        return np.concatenate([self._after(self._seeds[first : first + CHUNK], move, wanted) for first in firsts])

    def skip(self) -> None:
        """Leave out one displacement."""
        self._advance(len(self._seeds))

    def _after(self, seeds: Sequence[int], move: Values, wanted: Sequence[int]) -> Values:
        what = repr((self._world.generator.region, list(seeds), list(wanted))).encode() + move.tobytes()
        name = f"moved-{hashlib.sha256(what).hexdigest()[:32]}"
        labels = self._ledger.labels(name, partial(self._world.labels, seeds, move, wanted))
        self._advance(len(labels))
        return labels

    def predictors(self, labels: Values) -> Values:
        """Predictors (N, K) of labels (N, K)."""
        columns = [predictor(labels[:, index], axis.link) for index, axis in enumerate(self.axes)]
        return np.stack(columns, axis=1)


def _own(link: "Link.ValueType", before: Values, after: dict[float, Values]) -> Response:
    changes = {step: predictor(labels, link) - predictor(before, link) for step, labels in after.items()}
    slopes = (changes[1.0] - changes[-1.0]) / 2
    count = len(before)
    errors = {step: float(change.std(ddof=1)) / count**0.5 for step, change in changes.items()}
    means = {step: float(change.mean()) for step, change in changes.items()}
    return Response(
        per_step=float(slopes.mean()),
        standard_error=float(slopes.std(ddof=1)) / count**0.5,
        raised_share=float((after[RAISED_STEPS] > before).mean()),
        samples=count,
        linear_range=linear_range(means, errors, float(slopes.mean())),
        means=tuple(means.values()),
    )


def linear_range(means: dict[float, float], errors: dict[float, float], per_step: float) -> float:
    """The largest measured |steps| up to which, both ways, the mean response is proportional to the steps.

    Proportional means within LINEAR_TOLERANCE of steps * per_step, give or take two standard errors. It is at least
    the smallest step measured: responses are smooth, and nothing smaller is known.
    """
    sizes = sorted({abs(step) for step in means})
    reached = sizes[0]
    for size in sizes:
        for step in (-size, size):
            expected = step * per_step
            if abs(means[step] - expected) > LINEAR_TOLERANCE * abs(expected) + 2 * errors[step]:
                return reached
        reached = size
    return reached


def _few(images: int) -> int:
    """There are as many pairs of axes as their number squared: they are measured on every other seed only."""
    return (images + 1) // 2


def _locked(mover: _Mover, moved: int, lock: int) -> float:
    """Mean change of the locked axis' label by one step along the moved axis; NaN where the lock permits none."""
    if moved == lock:
        return float("nan")
    axes = mover.axes
    try:
        step = axes[moved].step_length * locks.step(axes[moved].direction, axes[lock].direction[None])
    except AxesError:
        for _ in range(2):
            mover.skip()
        return float("nan")
    up, down = (predictor(mover.after(sign * step, [lock])[:, 0], axes[lock].link) for sign in (1, -1))
    return float((up - down).mean()) / 2
