"""TL-GAN's five steps: sample, label, regress, move and label again, write. See the package's docstring."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from google.protobuf.timestamp_pb2 import Timestamp

from pellucid.v1.axis_pb2 import Axis, AxisSet, Effect, Entanglement
from pellucid_export.axes import axis_set, ledger, regression, response, sampling
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.ledger import Ledger
from pellucid_export.axes.regression import Method, Regression
from pellucid_export.axes.response import HARD_LIMIT_STEPS, Responses
from pellucid_export.axes.sampling import Samples
from pellucid_export.axes.world import World

# Told a description and a total; gives the function that is told how much was done since.
Progress = Callable[[str, int], Callable[[int], None]]


@dataclass(frozen=True)
class Plan:
    """What to fit: `samples` images of the seeds from `seed` on, then `fresh` more to measure effects on."""

    name: str
    samples: int = 20_000
    fresh: int = 500
    seed: int = 0
    method: Method = Method.AUTO


@dataclass(frozen=True)
class Fitted:
    """A fitted set with its directions (K, D) and the responses in full."""

    axis_set: AxisSet
    directions: npt.NDArray[np.float64]
    responses: Responses

    @property
    def steps(self) -> npt.NDArray[np.float64]:
        """Displacements (K, D) of one step along each axis."""
        lengths = np.array([axis.step_length for axis in self.axis_set.axes])
        return np.asarray(self.directions * lengths[:, None])


def fit(world: World, plan: Plan, folder: Path, progress: Progress) -> Fitted:
    """Fit an axis for every label of the world; `folder` keeps labels, so that a run that was killed goes on.

    Raises AxesError where a name is none, a label cannot be fitted, or there are too few samples.
    """
    size = world.generator.size
    if plan.samples < 2 * size or plan.fresh < 2:
        raise AxesError(f"{plan.samples} samples and {plan.fresh} fresh ones; at least {2 * size} and 2 are needed")
    names = [Axis(name=quantity.label.name) for quantity in world.quantities]
    axis_set.check(AxisSet(name=plan.name, axes=names))
    kept = Ledger(folder, ledger.fingerprint(world, plan.seed))
    samples = sampling.sample(world, plan.seed, plan.samples, kept, progress("Labelling", plan.samples))
    axes = _regress(world, samples, plan.method, progress("Fitting", len(world.quantities)))
    total = response.work(plan.fresh, len(axes))
    measured = response.measure(world, fresh_seeds(plan), axes, kept, progress("Moving", total))
    described = AxisSet(
        name=plan.name,
        create_time=_now(),
        axes=[_axis(world, axes, measured, index) for index in range(len(axes))],
        weights_digest=world.generator.digest,
    )
    return Fitted(described, np.stack([axis.direction for axis in axes]), measured)


def fresh_seeds(plan: Plan) -> range:
    """Seeds of images that neither the fit nor its held-out figure has seen."""
    return range(plan.seed + plan.samples, plan.seed + plan.samples + plan.fresh)


def _regress(world: World, samples: Samples, method: Method, advance: Callable[[int], None]) -> list[Regression]:
    axes = []
    for index, quantity in enumerate(world.quantities):
        scatter = world.generator.scatter
        axes.append(regression.fit(samples.points, samples.labels[:, index], quantity.label, method, scatter))
        advance(1)
    return axes


def _axis(world: World, axes: Sequence[Regression], measured: Responses, index: int) -> Axis:
    fitted, own, quantity = axes[index], measured.own[index], world.quantities[index]
    region = world.generator.region
    # The linear model is of points whose layers are alike; of moves of some layers it knows nothing.
    predicts = region.layers is None
    return Axis(
        name=quantity.label.name,
        display_name=quantity.label.name.replace("_", " ").capitalize(),
        quantity=quantity.label.name,
        unit=quantity.label.unit,
        space=region.space,
        layers=region.layers,
        step_length=fitted.step_length,
        link=fitted.link,
        intercept=fitted.intercept if predicts else None,
        slope=fitted.slope if predicts else None,
        samples=fitted.samples,
        fit=fitted.fit,
        effect=Effect(
            per_step=own.per_step,
            standard_error=own.standard_error,
            raised_share=own.raised_share,
            samples=own.samples,
        ),
        entanglement=[_entanglement(world, axes, measured, index, j) for j in range(len(axes)) if j != index],
        linear_range_steps=own.linear_range,
        hard_limit_steps=HARD_LIMIT_STEPS,
        extractor=f"models/{quantity.extractor}#{quantity.label.name}",
        weights_digest=world.generator.digest,
        origin="fitted",
    )


def _entanglement(
    world: World, axes: Sequence[Regression], measured: Responses, index: int, other: int
) -> Entanglement:
    return Entanglement(
        axis=world.quantities[other].label.name,
        cosine=float(axes[index].direction @ axes[other].direction),
        effect=measured.effects[index, other],
        effect_locked=measured.locked[index, other],
    )


def _now() -> Timestamp:
    now = Timestamp()
    now.GetCurrentTime()
    now.nanos = 0
    return now
