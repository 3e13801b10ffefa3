"""A version that answers, read from its folder in the repository."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import structlog
from google.protobuf import json_format
from upath import UPath

from pellucid.v1 import latent_pb2, model_pb2, translation_pb2
from pellucid_gateway import axis_sets
from pellucid_gateway.axis_sets import AxisTable
from pellucid_gateway.chain import Chain

VERSION_FILE = "version.json"

Clusters = Mapping[int, np.ndarray]

_log = structlog.get_logger()


@dataclass(frozen=True)
class ServedVersion:
    """A version that answers: its card and stages (shared by all versions), what version.json says, and its axes.

    `classes` and `vocabulary` are the numbers of class names, in lower case, and of the words of captions; `clusters`
    are the features (clusters, size) that instances of a label may have.
    """

    card: model_pb2.Model
    version: model_pb2.Version
    axes: AxisTable
    chain: Chain
    classes: Mapping[str, int]
    vocabulary: Mapping[str, int]
    clusters: Clusters

    @property
    def latent_size(self) -> int:
        """Numbers in a latent of the prior's space."""
        return self.card.latent.size


def read(folder: UPath, card: model_pb2.Model, chain: Chain, unsigned: Collection[str] = ()) -> ServedVersion:
    """Read a version's folder; `unsigned` are names of axis files to refuse.

    Raises OSError, ValueError and json_format.ParseError.
    """
    told = json_format.Parse((folder / VERSION_FILE).read_text(), model_pb2.Version(), ignore_unknown_fields=True)
    told.name, told.state = folder.name, model_pb2.STATE_AVAILABLE
    axes = axis_sets.read(folder / "axes", card.name, told.weights_digest, _sizes(card, chain), unsigned)
    for name, reason in axes.refused.items():
        _log.error("axes refused", model=card.name, version=told.name, axis=name, reason=reason)
    classes = {class_name.casefold(): k for k, class_name in enumerate(card.classes.names)}
    clusters = _clusters(folder, card.translation.features)
    return ServedVersion(card, told, axes, chain, classes, _vocabulary(folder, card.caption), clusters)


def _sizes(card: model_pb2.Model, chain: Chain) -> axis_sets.Sizes:
    sizes = {latent_pb2.SPACE_Z: (card.latent.size, 0)}
    layers, size = chain.style
    if layers:
        sizes |= {latent_pb2.SPACE_W: (size, layers), latent_pb2.SPACE_W_PLUS: (layers * size, 0)}
    return sizes


def _vocabulary(folder: UPath, caption: model_pb2.CaptionInput) -> Mapping[str, int]:
    if not caption.vocabulary_asset:
        return {}
    words = json.loads((folder / caption.vocabulary_asset).read_text(encoding="utf-8"))
    if not isinstance(words, dict) or not all(isinstance(number, int) and number > 0 for number in words.values()):
        raise ValueError(f"{caption.vocabulary_asset} must be an object from words to numbers above 0")
    return words


def _clusters(folder: UPath, features: translation_pb2.FeatureInput) -> Clusters:
    if not features.clusters_asset:
        return {}
    told = json.loads((folder / features.clusters_asset).read_text(encoding="utf-8"))
    clusters = {int(label): np.array(rows, dtype=np.float32) for label, rows in told.items()}
    for label, rows in clusters.items():
        if rows.ndim != 2 or rows.shape[1] != features.size or not len(rows) or not np.isfinite(rows).all():
            raise ValueError(f"{features.clusters_asset}: label {label} has clusters of shape {rows.shape}")
    return clusters
