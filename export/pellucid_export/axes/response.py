"""What moving along axes does, measured: move fresh latents, generate, label again.

All effects are on the scale of the labels' predictors (`links`): log odds of probabilities, quantities as they are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pellucid.v1.axis_pb2 import Link
from pellucid_export.axes import locks
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.links import predictor
from pellucid_export.axes.regression import Regression
from pellucid_export.axes.world import World

Values = npt.NDArray[np.float64]
Advance = Callable[[int], None]

STEPS = (-8.0, -6.0, -4.0, -3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
"""How far the latents are moved along each axis."""

RAISED_STEPS = 2.0
"""The move after which the share of raised labels is counted."""

LINEAR_TOLERANCE = 0.2
"""The largest departure from proportionality, as a share of the proportional response, within the linear range."""

HARD_LIMIT_STEPS = 8.0
"""The prior's width along any direction: from -4 to +4 standard deviations lie 99.994 % of the latents, so a longer
move cannot end among them wherever it starts."""


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
    by one step along axis i, the latter with axis j locked (NaN on the diagonal and where j leaves nothing of i)."""

    own: tuple[Response, ...]
    effects: Values
    locked: Values


def work(latents: int, axes: int) -> int:
    """How many latents `measure` labels, for showing progress."""
    return latents * (1 + axes * len(STEPS)) + _few(latents) * 2 * axes * (axes - 1)


def measure(world: World, latents: npt.NDArray[np.float32], axes: Sequence[Regression], advance: Advance) -> Responses:
    """Move fresh latents (N, D) along every axis; axis k was fitted to label k of the world.

    `advance` is told the number of latents labelled since it was last called.
    """
    mover = _Mover(world, latents, axes, advance)
    before = mover.after(np.zeros(latents.shape[1]), None)
    own, effects = [], []
    for index, axis in enumerate(axes):
        after = {step: mover.after(step * axis.direction, None if abs(step) == 1 else [index]) for step in STEPS}
        own.append(_own(axis.link, before[:, index], {step: labels[:, index] for step, labels in after.items()}))
        effects.append((mover.predictors(after[1.0]) - mover.predictors(after[-1.0])).mean(axis=0) / 2)
    spreads = np.array([axis.spread for axis in axes])
    few = _Mover(world, latents[::2], axes, advance)
    locked = np.array([[_locked(few, i, j) for j in range(len(axes))] for i in range(len(axes))])
    return Responses(tuple(own), np.array(effects) / spreads, locked / spreads)


class _Mover:
    """Labels of latents after a displacement."""

    def __init__(
        self, world: World, latents: npt.NDArray[np.float32], axes: Sequence[Regression], advance: Advance
    ) -> None:
        self._world, self._latents, self._advance = world, latents, advance
        self.axes = axes

    def after(self, displacement: Values, wanted: Sequence[int] | None) -> Values:
        """Labels (N, K) after a displacement (D,); NaN where an extractor gives none of those `wanted`."""
        labels = self._world.labels((self._latents + displacement).astype(np.float32), wanted)
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


def _few(latents: int) -> int:
    """There are as many pairs of axes as their number squared: they are measured on every other latent only."""
    return (latents + 1) // 2


def _locked(mover: _Mover, moved: int, lock: int) -> float:
    """Mean change of the locked axis' label by one step along the moved axis; NaN for the same axis."""
    if moved == lock:
        return float("nan")
    axes = mover.axes
    try:
        step = locks.step(axes[moved].direction, axes[lock].direction[None])
    except AxesError:
        return float("nan")
    up, down = (mover.after(sign * step, [lock])[:, lock] for sign in (1, -1))
    return float((predictor(up, axes[lock].link) - predictor(down, axes[lock].link)).mean()) / 2
