"""A linear model of one label on standard-normal latents, and how well it holds on latents it has not seen."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from pellucid.v1.axis_pb2 import LINK_IDENTITY, LINK_LOGIT, LINK_TANH, Fit, Link
from pellucid.v1.model_pb2 import LABEL_KIND_PROBABILITY, Label
from pellucid_export.axes import figures
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.links import predictor

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
    """predictor = intercept + slope * (latent . direction), for a unit direction (D,).

    `fit` is measured on held-out latents, `samples` were fitted on, and `spread` is the predictor's standard
    deviation over all latents.
    """

    direction: Values
    intercept: float
    slope: float
    link: "Link.ValueType"
    fit: Fit
    samples: int
    spread: float


def fit(latents: npt.NDArray[np.float32], labels: Values, label: Label, method: Method = Method.AUTO) -> Regression:
    """Fit one label (N,) on latents (N, D).

    Raises AxesError where the method does not suit the label, or where the label never changes.
    """
    link = _link(label, labels, method)
    target = predictor(labels, link)
    held_out = np.arange(len(labels)) % _HELD_OUT == _HELD_OUT - 1
    if not np.isfinite(target).all() or target[~held_out].std() == 0 or target[held_out].std() == 0:
        raise AxesError(f"label '{label.name}' does not vary over {len(labels)} samples, or is not finite")
    if method is Method.LOGISTIC:
        slopes, intercept = _logistic(latents[~held_out], labels[~held_out], label.name)
        quality = figures.auc(labels[held_out], latents[held_out] @ slopes)
    else:
        slopes, intercept = _least_squares(latents[~held_out], target[~held_out])
        quality = figures.r2(target[held_out], latents[held_out] @ slopes + intercept)
    length = float(np.linalg.norm(slopes))
    return Regression(slopes / length, intercept, length, link, quality, int((~held_out).sum()), float(target.std()))


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


def _least_squares(latents: npt.NDArray[np.float32], target: Values) -> tuple[Values, float]:
    from sklearn.linear_model import LinearRegression

    # Standardised, so that labels of any unit are equally well conditioned. With many more samples than dimensions
    # a ridge would change nothing.
    mean, spread = float(target.mean()), float(target.std())
    model = LinearRegression().fit(latents.astype(np.float64), (target - mean) / spread)
    return np.asarray(model.coef_) * spread, float(model.intercept_) * spread + mean


def _logistic(latents: npt.NDArray[np.float32], labels: Values, name: str) -> tuple[Values, float]:
    from sklearn.linear_model import LogisticRegression

    hard = labels > 0.5
    if hard.all() or not hard.any():
        raise AxesError(f"label '{name}' is on one side of 0.5 in all {len(labels)} samples")
    model = LogisticRegression(C=np.inf, max_iter=1000).fit(latents.astype(np.float64), hard)
    return np.asarray(model.coef_)[0], float(model.intercept_[0])
