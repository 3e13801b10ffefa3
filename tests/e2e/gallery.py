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


HD = {"height": "64", "width": "128"}
MAX_BATCH = 4

CASES = {
    case.model: case
    for case in (
        Case("pggan", "pggan", "pggan/genforce_64", "pggan_mini64.pth"),
        Case(
            "pggan-label", "pggan", "pggan/genforce_label_16", "pggan_minilabel16.pth", {"fused": "no", "classes": "4"}
        ),
        Case("pggan-fused", "pggan", "pggan/genforce_fused_32", "pggan_minifused32.pth"),
        Case("pggan-old", "pggan", "pggan/interfacegan_32", "pggan_celebahq.pth"),
        Case("pggan-tf", "pggan", "pggan/tf_pickle_32", "karras2018iclr-mini-32x32.pkl"),
        Case("stylegan", "stylegan", "stylegan1/genforce_128", "stylegan_mini128.pth"),
        Case("stylegan-old", "stylegan", "stylegan1/interfacegan_128", "stylegan_ffhq.pth"),
        Case("stylegan-tf", "stylegan", "stylegan1/tf_pickle_32", "karras2019stylegan-mini-32x32.pkl"),
        Case("stylegan2", "stylegan2", "stylegan2/ada_64", "network-snapshot-mini.pkl"),
        Case("stylegan2-cond", "stylegan2", "stylegan2/ada_cond_32", "network-snapshot-mini.pkl"),
        Case("biggan-deep", "biggan", "biggan/hf_deep_32"),
        Case("biggan", "biggan", "biggan/ajbrock_64", "G_ema.pth"),
        Case("biggan-pytorch-deep", "biggan", "biggan/ajbrock_deep_32", "G_ema.pth"),
        Case("biggan-cifar", "biggan", "biggan/ajbrock_cifar32", "G_ema.pth"),
        Case("attngan", "attngan", "attngan/bird_mini"),
        Case("attngan-dcgan", "attngan", "attngan/bird_attndcgan_mini"),
    )
}
TRANSLATORS = {
    case.model: case
    for case in (
        Case("stargan", "stargan", "stargan/celeba_c5", "200000-G.ckpt", {"image_size": "64"}),
        Case(
            "stargan-joint",
            "stargan",
            "stargan/joint_c5_c8",
            "200000-G.ckpt",
            {"image_size": "64", "classes": "angry,contemptuous,disgusted,fearful,happy,neutral,sad,surprised"},
        ),
        Case("cyclegan", "cyclegan", "cyclegan/resnet9_instance"),
        Case("cyclegan-old", "cyclegan", "cyclegan/resnet6_legacy_running_stats", "latest_net_G.pth"),
        Case("pix2pix", "pix2pix", "pix2pix/unet256_batch", "latest_net_G.pth"),
        Case("pix2pix-grey", "pix2pix", "pix2pix/unet128_batch_gray_to_rgb", "latest_net_G.pth"),
        Case(
            "pix2pix-resnet",
            "pix2pix",
            "pix2pix/resnet9_batch_dropout_keys",
            "latest_net_G.pth",
            {"statistics": "running"},
        ),
        Case("pix2pixhd", "pix2pixhd", "pix2pixhd/global_label_inst", "", HD),
        Case("pix2pixhd-local", "pix2pixhd", "pix2pixhd/local_inst_edge", "", HD),
        Case("pix2pixhd-rgb", "pix2pixhd", "pix2pixhd/global_rgb_noinst", "", HD),
        Case("pix2pixhd-looks", "pix2pixhd", "pix2pixhd/global_feat_encoder", "", HD),
    )
}


def export_all(root: Path, cases: Mapping[str, Case]) -> None:
    """Export cases into a repository; batches are small, so that measuring them is quick."""
    from pellucid_export import exporter, source
    from pellucid_export.form import Form
    from pellucid_export.repository import Repository

    for case in cases.values():
        form = Form(case.family, source.digest(case.path), options=case.options, max_batch_size=MAX_BATCH)
        exporter.export(Repository(root), case.model, form, case.path)
