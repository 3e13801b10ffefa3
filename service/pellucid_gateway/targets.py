"""Targets of translations: the stage of each, and what its network is told."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pellucid.v1 import model_pb2, translation_service_pb2
from pellucid_gateway import domains, latents
from pellucid_gateway.backends.base import Tensor
from pellucid_gateway.errors import Refused, invalid
from pellucid_gateway.looks import Looks
from pellucid_gateway.sources import Prepared
from pellucid_gateway.versions import ServedVersion


@dataclass(frozen=True)
class Row:
    """A target's row: its stage, the one that leads back for a cycle, its tensors, and what is told of it."""

    stage: model_pb2.Stage
    back: model_pb2.Stage | None
    tensors: Mapping[str, Tensor]
    applied: translation_service_pb2.AppliedTranslation


def row(
    target: translation_service_pb2.Target,
    prepared: Prepared,
    served: ServedVersion,
    labels: Mapping[str, float],
    look: Looks | None,
    at: str,
) -> Row:
    """Make the row of a target from its prepared source, the source's labels and the look of its instances.

    Raises InvalidRequest about `at`, and Refused for what the model has not.
    """
    card = served.card
    _check(target, served, at)
    stage, back, direction = _stages(target, card, at)
    applied = translation_service_pb2.AppliedTranslation(
        model=card.name,
        version=served.version.name,
        weights_digest=served.version.weights_digest,
        direction=direction,
        height=prepared.fitting.size[0],
        width=prepared.fitting.size[1],
    )
    tensors = dict(prepared.tensors)
    if card.translation.HasField("domains"):
        tensors["domain"] = domains.vector(target.domain, labels, card, f"{at}.domain")
        applied.domain.extend(map(float, tensors["domain"]))
        applied.source_labels.update(labels)
    if look is not None:
        tensors["features"] = look.features
        applied.clusters.update(look.chosen)
    if "dropout" in served.chain.brought:
        tensors["dropout"] = _dropout(target, card)
    return Row(stage, back, {name: tensors[name] for name in stage.inputs}, applied)


def stage_of(card: model_pb2.Model, role: str) -> model_pb2.Stage | None:
    """Find a stage by its role."""
    return next((stage for stage in card.stages if stage.role == role), None)


def _check(target: translation_service_pb2.Target, served: ServedVersion, at: str) -> None:
    translation = served.card.translation
    offered = {
        "domain": translation.HasField("domains"),
        "style": translation.HasField("features"),
        "dropout_seed": "dropout" in served.chain.brought,
    }
    for name, is_offered in offered.items():
        if target.HasField(name) and not is_offered:  # type: ignore[arg-type]
            raise Refused("TARGET_NOT_SUPPORTED", f"{served.card.name} has no {name} (field {at}.{name})")
    if translation.HasField("domains") and not target.HasField("domain"):
        raise invalid(f"{at}.domain", f"{served.card.name} needs a target domain")


def _stages(
    target: translation_service_pb2.Target, card: model_pb2.Model, at: str
) -> tuple[model_pb2.Stage, model_pb2.Stage | None, str]:
    """Give the stage of a target's direction, and the one that leads back where a cycle is asked for."""
    directions = {direction.name: direction for direction in card.translation.directions}
    if not directions:
        if target.direction:
            raise Refused("TARGET_NOT_SUPPORTED", f"{card.name} has one direction only (field {at}.direction)")
        if target.cycle:
            raise Refused("TARGET_NOT_SUPPORTED", f"{card.name} has no way back (field {at}.cycle)")
        return card.stages[-1], None, ""
    chosen = directions.get(target.direction or card.translation.directions[0].name)
    if chosen is None:
        raise invalid(f"{at}.direction", f"{target.direction!r} is none of {', '.join(directions)}")
    stage = stage_of(card, chosen.stage)
    back = directions.get(chosen.back)
    if stage is None or (target.cycle and back is None):
        raise Refused("TARGET_NOT_SUPPORTED", f"{card.name} has no way back from {chosen.name} (field {at}.cycle)")
    return stage, stage_of(card, back.stage) if target.cycle and back else None, chosen.name


def _dropout(target: translation_service_pb2.Target, card: model_pb2.Model) -> Tensor:
    rule = card.translation.dropout
    if not target.HasField("dropout_seed"):
        return np.full(rule.size, 1, dtype=np.uint8)
    uniform = latents.uniform(target.dropout_seed, latents.DROPOUT_STREAM, rule.size)
    return (uniform < rule.keep).astype(np.uint8)
