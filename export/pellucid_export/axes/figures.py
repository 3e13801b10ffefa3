"""Figures of merit on held-out latents, with confidence intervals."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pellucid.v1.axis_pb2 import FIT_METRIC_AUC, FIT_METRIC_R2, Fit, FitMetric

Values = npt.NDArray[np.float64]

RESAMPLES = 1000
_SEED = 0
_INTERVAL = (2.5, 97.5)


def r2(truth: Values, predicted: Values) -> Fit:
    """Coefficient of determination; the interval is the bootstrap's percentiles."""
    return _fit(FIT_METRIC_R2, _r2, truth, predicted)


def auc(truth: Values, score: Values) -> Fit:
    """Area under the ROC curve of hard labels (above 0.5 or not); the interval is the bootstrap's percentiles."""
    return _fit(FIT_METRIC_AUC, _auc, np.asarray(truth > 0.5, np.float64), score)


def _fit(
    metric: "FitMetric.ValueType", compute: Callable[[Values, Values], float], truth: Values, predicted: Values
) -> Fit:
    generator = np.random.Generator(np.random.Philox(_SEED))
    count = len(truth)
    resampled = []
    for _ in range(RESAMPLES):
        rows = generator.integers(0, count, count)
        resampled.append(compute(truth[rows], predicted[rows]))
    low, high = np.nanpercentile(resampled, _INTERVAL)
    return Fit(metric=metric, value=compute(truth, predicted), low=low, high=high, samples=count)


def _r2(truth: Values, predicted: Values) -> float:
    spread = float(np.square(truth - truth.mean()).sum())
    return 1 - float(np.square(truth - predicted).sum()) / spread if spread else float("nan")


def _auc(truth: Values, score: Values) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, score)) if 0 < truth.sum() < len(truth) else float("nan")
