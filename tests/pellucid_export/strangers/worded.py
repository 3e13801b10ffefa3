"""A family whose model has a file for the gateway beside it."""

from dataclasses import dataclass
from pathlib import Path

from pellucid_export.families import dcgan
from pellucid_export.family import Family, Network

WORDS = b'{"bird": 1, "red": 2}'


@dataclass(frozen=True)
class Options:
    """There is nothing to choose."""


def load(path: Path, _options: Options) -> Network:
    """Read a DCGAN and add a vocabulary."""
    network = dcgan.load(path, dcgan.Options())
    return Network(network.stages, network.card, network.weights_digest, assets={"vocabulary.json": WORDS})


FAMILY = Family("worded", "A DCGAN with a vocabulary", ("state dict",), Options, load)
