"""Labels on the scale of the linear predictor, on which axes are fitted and their effects are measured."""

import numpy as np
import numpy.typing as npt

from pellucid.v1.axis_pb2 import LINK_IDENTITY, LINK_LOGIT, LINK_TANH, Link

Values = npt.NDArray[np.float64]

# Classifiers saturate: log odds beyond +-8 (probabilities within 0.0003 of 0 or 1) say no more than that.
LARGEST_LOG_ODDS = 8.0
# TL-GAN's own limit.
LARGEST_ARCTANH = 3.0


def predictor(labels: npt.ArrayLike, link: "Link.ValueType") -> Values:
    """The predictor u with label = link(u): the label, its log odds or its arctanh, the latter two limited."""
    values = np.asarray(labels, np.float64)
    if link == LINK_IDENTITY:
        return values
    if link == LINK_TANH:
        bound = np.tanh(LARGEST_ARCTANH)
        return np.asarray(np.arctanh(np.clip(values, -bound, bound)))
    if link == LINK_LOGIT:
        least = 1 / (1 + np.exp(LARGEST_LOG_ODDS))
        kept = np.clip(values, least, 1 - least)
        return np.asarray(np.log(kept) - np.log1p(-kept))
    raise ValueError(f"link {link} has no predictor")
