"""What a model can do, in the words of the options that ask for it, by its card alone."""

from collections.abc import Mapping

from pellucid.v1 import model_pb2, translation_pb2
from pellucid_client.latent import SPACES

_SPACE_NAMES = {number: name for name, number in SPACES.items()}


def abilities(card: model_pb2.Model) -> str:
    """Return them as one line: "edits z w, classes 1000, truncation"."""
    return ", ".join(ability for ability, has_it in _table(card).items() if has_it)


def _table(card: model_pb2.Model) -> Mapping[str, bool]:
    spaces = " ".join(_SPACE_NAMES.get(space.space, "z") for space in card.spaces)
    return {
        f"edits {spaces}": bool(spaces),
        f"classes {card.classes.count}": card.HasField("classes"),
        "truncation": card.HasField("truncation"),
        "mixing": card.HasField("style_layers"),
        "captions": card.HasField("caption"),
        f"condition {card.condition.size}": card.HasField("condition"),
        "noise": card.HasField("noise"),
        "noise seeds": card.noise.seeded,
        "official seeds": bool(card.latent.official_sampler),
        "intermediates": bool(card.intermediates),
        "attention": bool(card.caption.attention),
        f"labels {len(card.labels)}": bool(card.labels),
        **_translations(card.translation),
    }


def _translations(translator: translation_pb2.Translation) -> Mapping[str, bool]:
    domains = sum(len(one.names) for one in translator.domains.sets)
    directions = " ".join(direction.name for direction in translator.directions)
    return {
        f"domains {domains}": bool(domains),
        f"directions {directions}": bool(directions),
        "label maps": translator.HasField("label_map"),
        "instances": translator.label_map.instances,
        "styles": translator.HasField("features"),
        "dropout": translator.HasField("dropout"),
        "tiles": translator.sizes.tiles,
    }
