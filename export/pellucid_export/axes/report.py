"""The report of a fitted set, in Markdown."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pellucid.v1.axis_pb2 import FIT_METRIC_AUC, LINK_IDENTITY, Axis
from pellucid.v1.latent_pb2 import SPACE_W
from pellucid_export.axes import response
from pellucid_export.axes.fitting import Fitted, Plan
from pellucid_export.axes.links import LARGEST_LOG_ODDS
from pellucid_export.axes.spaces import Scatter
from pellucid_export.axes.world import World

# Below this share of explained variance an axis is called weak.
WEAK_R2 = 0.2

_COLUMNS = (
    *("axis", "unit", "held-out fit", "95 % interval", "step length", "slope", "effect of a step", "raised by +2"),
    "linear to",
)
_PICTURE_STEPS = (-4, -2, -1, 1, 2, 4)


def write(fitted: Fitted, plan: Plan, world: World, command: str, picture: str) -> str:
    """The report; `command` is what made it and `picture` the file name of the sweep beside it."""
    axes = list(fitted.axis_set.axes)
    names = [axis.name for axis in axes]
    sections = [
        f"# Axes of {world.generator.card.display_name or world.generator.name}: the set `{plan.name}`",
        f"Made by `{command}`.",
        _setting(plan, world, axes),
        f"![One image moved along each axis; columns are steps]({picture})",
        "## Fit and effect",
        _reading(world.generator.scatter),
        _moves(axes[0]),
        _table(_COLUMNS, [_row(axis) for axis in axes]),
        _weak(axes),
        "## Response",
        "Mean change of the label's predictor after so many steps, on fresh images.",
        _table(
            ["axis", *(f"{step:+d}" for step in _PICTURE_STEPS)],
            [_responses(axis, fitted.responses.own[index].means) for index, axis in enumerate(axes)],
        ),
        "## Entanglement",
        "What one step along the axis of the row does to the label of the column, in standard deviations of that"
        " label's predictor.",
        _matrix(names, fitted.responses.effects),
        "The same while the axis of the column is locked.",
        _matrix(names, fitted.responses.locked),
        _halved(names, fitted.responses.effects, fitted.responses.locked),
        "A lock holds an axis' coordinate, which is the linear part of its label; what is not linear still moves."
        " Labels that one classifier ties together, as probabilities that sum to 1, cannot all be held while one of"
        " them grows.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _setting(plan: Plan, world: World, axes: Sequence[Axis]) -> str:
    generator = world.generator
    extractors = ", ".join(f"`{extractor.name}`" for extractor in world.extractors)
    said = f" All have {', '.join(generator.conditions.said)}." if generator.conditions.said else ""
    return (
        f"{plan.samples:,} images (seeds {plan.seed} to {plan.seed + plan.samples - 1}) of `{generator.name}`"
        f" were labelled by {extractors}: {axes[0].samples:,} were fitted on, every fifth was held out. Effects were"
        f" measured on {plan.fresh} fresh images (seeds from {plan.seed + plan.samples} on), those with locks on every"
        f" other one of them.{said} Weights: `{generator.digest}`."
    )


def _reading(scatter: Scatter) -> str:
    why = "that is the width of a normal distribution, from -4 to +4 standard deviations"
    if scatter is Scatter.STANDARD:
        why = (
            "±4 standard deviations hold 99.994 % of all latents, and a longer move cannot end among them wherever it"
            " starts"
        )
    return (
        "Probabilities are fitted and measured in log odds, limited to ±"
        f"{LARGEST_LOG_ODDS:g}; quantities as they are. A step is one standard deviation along the axis, `step length`."
        " `slope` is the growth of the fitted predictor by a step, `effect of a step` the growth that was measured by"
        " moving one step either way, with its standard error. `raised by +2` is the share of images whose label was"
        " higher after two steps. The response is linear to within"
        f" {response.LINEAR_TOLERANCE:.0%} and two standard errors as far as `linear to` steps, both ways; moves beyond"
        f" {response.HARD_LIMIT_STEPS:g} steps are refused: {why}."
    )


def _moves(axis: Axis) -> str:
    """What is moved, where it is not the latent."""
    if axis.space != SPACE_W:
        return ""
    if not axis.HasField("layers"):
        return "The axes lie in W, and all layers move."
    return (
        f"The axes lie in W, and the layers {axis.layers.first} to {axis.layers.last} move. How much of a label they"
        " decide the fit cannot tell, since all layers are alike in it: there is no slope, only the measured effect."
    )


def _row(axis: Axis) -> list[str]:
    metric = "AUC" if axis.fit.metric == FIT_METRIC_AUC else "R²"
    return [
        axis.name,
        axis.unit or ("" if axis.link == LINK_IDENTITY else "log odds"),
        f"{metric} {axis.fit.value:.3f}",
        f"{axis.fit.low:.3f} to {axis.fit.high:.3f}",
        f"{axis.step_length:.3g}",
        f"{axis.slope:.3g}" if axis.HasField("slope") else "",
        f"{axis.effect.per_step:.3g} ± {axis.effect.standard_error:.1g}",
        f"{axis.effect.raised_share:.1%}",
        f"{axis.linear_range_steps:g}",
    ]


def _weak(axes: Sequence[Axis]) -> str:
    weak = [axis.name for axis in axes if axis.fit.metric != FIT_METRIC_AUC and axis.fit.value < WEAK_R2]
    if not weak:
        return ""
    return (
        f"**Weak: {', '.join(weak)}.** Less than {WEAK_R2:.0%} of the label's variance follows linearly from the"
        " latent: on average the axis moves the label as the table says, for a single image it may well not."
    )


def _responses(axis: Axis, means: Sequence[float]) -> list[str]:
    by_step = dict(zip(response.STEPS, means, strict=True))
    return [axis.name, *(f"{by_step[float(step)]:+.3g}" for step in _PICTURE_STEPS)]


def _matrix(names: Sequence[str], values: npt.NDArray[np.float64]) -> str:
    rows = [[name, *(_cell(value) for value in row)] for name, row in zip(names, values, strict=True)]
    return _table(["", *names], rows)


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:+.2f}"


def _halved(names: Sequence[str], effects: npt.NDArray[np.float64], locked: npt.NDArray[np.float64]) -> str:
    """How much of the side effects a lock leaves, over the pairs that have one worth the name."""
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.abs(locked) / np.abs(effects)
    counted = (np.abs(effects) >= 0.1) & ~np.isnan(locked)
    if not counted.any():
        return ""
    pairs = [f"{names[i]} on {names[j]} {left[i, j]:.0%}" for i, j in np.argwhere(counted & (left > 0.5))]
    text = (
        f"Of the {int(counted.sum())} side effects of at least 0.1 standard deviations a lock leaves"
        f" {np.median(left[counted]):.0%} in the median."
    )
    return text + (f" More than half is left of: {', '.join(pairs)}." if pairs else " It at least halves every one.")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
