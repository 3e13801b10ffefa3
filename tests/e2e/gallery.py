"""Every family of generators, from checkpoints in the official containers to a running stack."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True)
class Case:
    """A golden case that is served as a model of its own; `checkpoint` is a file of the case's folder, or the folder."""

    model: str
    family: str
    folder: str
    checkpoint: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return GOLDEN / self.folder / self.checkpoint

    @property
    def arrays(self) -> Any:
        return np.load(GOLDEN / self.folder / "io.npz")

    @property
    def facts(self) -> Any:
        return json.loads((GOLDEN / self.folder / "case.json").read_text())


CASES = {
    case.model: case
    for case in (
        Case("pggan", "pggan", "pggan/genforce_64", "pggan_mini64.pth"),
        Case("pggan-label", "pggan", "pggan/genforce_label_16", "pggan_minilabel16.pth", {"fused": "no", "classes": "4"}),
        Case("pggan-tf", "pggan", "pggan/tf_pickle_32", "karras2018iclr-mini-32x32.pkl"),
        Case("stylegan", "stylegan", "stylegan1/genforce_128", "stylegan_mini128.pth"),
        Case("stylegan-old", "stylegan", "stylegan1/interfacegan_128", "stylegan_ffhq.pth"),
        Case("stylegan2", "stylegan2", "stylegan2/ada_64", "network-snapshot-mini.pkl"),
        Case("stylegan2-cond", "stylegan2", "stylegan2/ada_cond_32", "network-snapshot-mini.pkl"),
        Case("biggan-deep", "biggan", "biggan/hf_deep_32"),
        Case("biggan", "biggan", "biggan/ajbrock_64", "G_ema.pth"),
        Case("biggan-cifar", "biggan", "biggan/ajbrock_cifar32", "G_ema.pth"),
        Case("attngan", "attngan", "attngan/bird_mini"),
        Case("attngan-dcgan", "attngan", "attngan/bird_attndcgan_mini"),
    )
}
