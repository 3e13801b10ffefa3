"""A linear model of one label on points of a latent space, and how well it holds on points it has not seen."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from pellucid.v1.axis_pb2 import LINK_IDENTITY, LINK_LOGIT, LINK_TANH, Fit, Link
from pellucid.v1.model_pb2 import LABEL_KIND_PROBABILITY, Label
from pellucid_export.axes import figures
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.links import predictor
from pellucid_export.axes.spaces import Scatter

Values = npt.NDArray[np.float64]

# Every fifth sample is held out: like the seeds themselves, independent of the number of samples.
_HELD_OUT = 5


class Method(StrEnum):
    """How a label is fitted."""

    AUTO = "auto"
    """Least squares: on the log odds of probabilities, on quantities as they are."""
    LINEAR = "linear"
    """Least squares on the label as it is."""
    TANH = "tanh"
    """Least squares on the arctanh of labels in [-1, 1], as TL-GAN does."""
    LOGISTIC = "logistic"
    """Logistic regression on whether the label is above 0.5."""


@dataclass(frozen=True)
class Regression:
    """predictor = intercept + slope * coordinate, with coordinate = (point . direction) / step_length.

    `direction` (D,) has length 1; `step_length` is the points' standard deviation along it. `fit` is measured on
    held-out points, `samples` were fitted on, and `spread` is the predictor's standard deviation over all points.
    """

    direction: Values
    step_length: float
    intercept: float
    slope: float
    link: "Link.ValueType"
    fit: Fit
    samples: int
    spread: float

    @property
    def step(self) -> Values:
        """The displacement (D,) of one step."""
        return self.step_length * self.direction


def fit(
    points: npt.NDArray[np.float32],
    labels: Values,
    label: Label,
    method: Method = Method.AUTO,
    scatter: Scatter = Scatter.STANDARD,
) -> Regression:
    """Fit one label (N,) on points (N, D).

    Raises AxesError where the method does not suit the label, or where the label never changes.
    """
    link = _link(label, labels, method)
    target = predictor(labels, link)
    held_out = np.arange(len(labels)) % _HELD_OUT == _HELD_OUT - 1
    if not np.isfinite(target).all() or target[~held_out].std() == 0 or target[held_out].std() == 0:
        raise AxesError(f"label '{label.name}' does not vary over {len(labels)} samples, or is not finite")
    if method is Method.LOGISTIC:
        slopes, intercept = _logistic(points[~held_out], labels[~held_out], label.name, scatter)
        quality = figures.auc(labels[held_out], points[held_out] @ slopes)
    else:
        slopes, intercept = _least_squares(points[~held_out], target[~held_out], scatter)
        quality = figures.r2(target[held_out], points[held_out] @ slopes + intercept)
    length = float(np.linalg.norm(slopes))
    step_length = 1.0 if scatter is Scatter.STANDARD else float((points @ (slopes / length)).std())
    return Regression(
        direction=slopes / length,
        step_length=step_length,
        intercept=intercept,
        slope=length * step_length,
        link=link,
        fit=quality,
        samples=int((~held_out).sum()),
        spread=float(target.std()),
    )


def _link(label: Label, values: Values, method: Method) -> "Link.ValueType":
    is_probability = label.kind == LABEL_KIND_PROBABILITY
    if method is Method.TANH:
        if np.abs(values).max() > 1:
            raise AxesError(f"method tanh needs labels in [-1, 1]; '{label.name}' reaches {np.abs(values).max():g}")
        return LINK_TANH
    if method is Method.LOGISTIC and not is_probability and not set(np.unique(values)) <= {0.0, 1.0}:
        raise AxesError(f"method logistic needs probabilities or labels 0 and 1; '{label.name}' is a quantity")
    if method is Method.LOGISTIC or (method is Method.AUTO and is_probability):
        return LINK_LOGIT
    return LINK_IDENTITY


def _least_squares(points: npt.NDArray[np.float32], target: Values, scatter: Scatter) -> tuple[Values, float]:
    from sklearn.linear_model import BayesianRidge, LinearRegression

    # NOTE: TL-GAN's least squares, but for W: where a point hardly varies they know next to nothing of the slope, and
    # what they take for it can be most of the direction. The ridge, of the size that the samples themselves call for
    # (MacKay, "Bayesian interpolation", 1992), leaves out what is not known. For points that lie evenly it would
    # change the slopes' length alone, and nothing with many more samples than dimensions.
    model = BayesianRidge() if scatter is Scatter.UNEVEN else LinearRegression()
    # Standardised, so that labels of any unit are equally well conditioned, and points of any size.
    mean, spread, size = float(target.mean()), float(target.std()), _size(points, scatter)
    model.fit(points.astype(np.float64) / size, (target - mean) / spread)
    return np.asarray(model.coef_) * spread / size, float(model.intercept_) * spread + mean


def _logistic(points: npt.NDArray[np.float32], labels: Values, name: str, scatter: Scatter) -> tuple[Values, float]:
    from sklearn.linear_model import LogisticRegression

    hard = labels > 0.5
    if hard.all() or not hard.any():
        raise AxesError(f"label '{name}' is on one side of 0.5 in all {len(labels)} samples")
    model = LogisticRegression(C=np.inf, max_iter=1000)
    if scatter is not Scatter.UNEVEN:
        model.fit(points.astype(np.float64), hard)
        return np.asarray(model.coef_)[0], float(model.intercept_[0])
    # NOTE: Fisher's discriminant, which is least squares on hard labels, is where the ridge can be had; only how
    # steeply the odds grow along it is left to logistic regression.
    slopes, _ = _least_squares(points, hard.astype(np.float64), scatter)
    coordinate = points @ (slopes / np.linalg.norm(slopes))
    middle, size = coordinate.mean(), coordinate.std()
    model.fit((coordinate - middle)[:, None] / size, hard)
    steepness = float(model.coef_[0, 0]) / size
    return steepness * slopes / np.linalg.norm(slopes), float(model.intercept_[0]) - steepness * middle


def _size(points: npt.NDArray[np.float32], scatter: Scatter) -> float:
    """Root mean square of the points' standard deviations; known for standard normals."""
    return 1.0 if scatter is Scatter.STANDARD else float(np.sqrt(points.var(axis=0, dtype=np.float64).mean()))
