"""Target domains to the numbers that a translator is told (StarGAN, section 3.2)."""

from collections.abc import Mapping

import numpy as np

from pellucid.v1 import model_pb2, translation_pb2, translation_service_pb2
from pellucid_gateway.errors import invalid
from pellucid_gateway.latents import Latents

Labels = Mapping[str, float]


def every(domains: translation_pb2.Domains) -> list[translation_service_pb2.Target]:
    """Give a target for each domain of each set, as the official test has them."""
    return [
        translation_service_pb2.Target(domain=translation_service_pb2.DomainTarget(set=one.name, change=[name]))
        for one in domains.sets
        for name in one.names
    ]


def needs_labels(target: translation_service_pb2.DomainTarget, card: model_pb2.Model, at: str) -> bool:
    """Say whether a target depends on the source's labels."""
    chosen = _set(target, card, at)
    return not chosen.exclusive and not all(name in target.values for name in chosen.names)


def vector(target: translation_service_pb2.DomainTarget, labels: Labels, card: model_pb2.Model, at: str) -> Latents:
    """Give the tensor `domain` (size,) of a target; `labels` are the source's, 0 or 1, of all attributes it depends on.

    Raises InvalidRequest about `at` for names that the set has not, and for more than one class.
    """
    chosen = _set(target, card, at)
    _check_names(target, chosen, at)
    values = _class(target, chosen, at) if chosen.exclusive else _attributes(target, chosen, labels)
    told = np.zeros(card.translation.domains.size, dtype=np.float32)
    told[chosen.offset : chosen.offset + len(values)] = values
    if chosen.HasField("mask"):
        told[chosen.mask] = 1
    return told


def _set(target: translation_service_pb2.DomainTarget, card: model_pb2.Model, at: str) -> translation_pb2.DomainSet:
    sets = card.translation.domains.sets
    if not target.set:
        return sets[0]
    for one in sets:
        if one.name == target.set:
            return one
    raise invalid(f"{at}.set", f"{card.name} has no set {target.set!r}; it has {', '.join(one.name for one in sets)}")


def _check_names(target: translation_service_pb2.DomainTarget, chosen: translation_pb2.DomainSet, at: str) -> None:
    for field, names in (("change", target.change), ("values", target.values)):
        for name in names:
            if name not in chosen.names:
                raise invalid(f"{at}.{field}", f"no domain {name!r}; there are {', '.join(chosen.names)}")
    if not target.change and not target.values:
        raise invalid(at, f"change or values must name one of {', '.join(chosen.names)}")


def _class(target: translation_service_pb2.DomainTarget, chosen: translation_pb2.DomainSet, at: str) -> list[float]:
    if target.values:
        raise invalid(f"{at}.values", "an image is of exactly one of these domains: name it in change")
    if len(target.change) != 1:
        raise invalid(f"{at}.change", f"{len(target.change)} domains, and an image is of exactly one of them")
    return [float(name == target.change[0]) for name in chosen.names]


def _attributes(
    target: translation_service_pb2.DomainTarget, chosen: translation_pb2.DomainSet, labels: Labels
) -> list[float]:
    values = {name: 1.0 if labels.get(name, 0.0) > 0.5 else 0.0 for name in chosen.names}
    for name in target.change:
        rivals = _rivals(name, chosen)
        values |= dict.fromkeys(rivals, 0.0)
        values[name] = 1.0 if rivals else 1.0 - values[name]
    for name, value in target.values.items():
        if value > 0.5:
            values |= {rival: 0.0 for rival in _rivals(name, chosen) if rival not in target.values}
        values[name] = value
    return list(values.values())


def _rivals(name: str, chosen: translation_pb2.DomainSet) -> list[str]:
    """Give the attributes that cannot be there together with one, itself included; none where it is in no group."""
    return next((list(group.names) for group in chosen.groups if name in group.names), [])
