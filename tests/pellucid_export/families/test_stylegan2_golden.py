"""Every array that the official codes gave for the checkpoints in tests/golden/stylegan2."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from pellucid_export import onnx, runtime
from pellucid_export.families.stylegan2 import FAMILY, Options
from pellucid_export.family import Network, Signature, Stage, Tensor
from pellucid_export.networks.synthesis_stage import SynthesisStage
from pellucid_export.runtime import Runner
from pellucid_export.samples import Array, Arrays

pytestmark = pytest.mark.torch

GOLDEN = Path(__file__).parents[2] / "golden" / "stylegan2"
ADA = ("ada_64", "ada_cond_32")
CASES = (*ADA, "genforce_16")
FILES = {**dict.fromkeys(ADA, "network-snapshot-mini.pkl"), "genforce_16": "stylegan2_mini16.pth"}
# What an array's name says of truncation, cut-off (None is all) and noise.
IMAGES = {
    "image_trunc_off": (1.0, None, 1.0),
    "image_trunc_0.7_4": (0.7, 4, 1.0),
    "image_trunc_0.7_all": (0.7, None, 1.0),
    "image_nonoise": (1.0, None, 0.0),
}

Opener = Callable[[str, Stage], Runner]


@dataclass(frozen=True)
class Case:
    """One folder: its arrays and what case.json says of them."""

    arrays: Arrays
    facts: dict[str, Any]

    def assert_close(self, found: Array, name: str) -> None:
        allowed = self.facts["tolerance"]
        np.testing.assert_allclose(found, self.arrays[name], atol=allowed["atol"], rtol=allowed["rtol"], err_msg=name)

    def latents(self) -> Arrays:
        """What the official code was given."""
        label = {"label": self.arrays["c"]} if "c" in self.arrays else {}
        return {"latent": self.arrays["z"], **label}


@cache
def case(name: str) -> Case:
    with np.load(GOLDEN / name / "io.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return Case(arrays, json.loads((GOLDEN / name / "case.json").read_text()))


@cache
def network(name: str, pixels: Any = "float32") -> Network:
    return FAMILY.load(GOLDEN / name / FILES[name], Options(pixels))


def controls(style: Array, truncation: float = 1.0, cutoff: int | None = None, noise: float = 1.0) -> Arrays:
    count, layers = style.shape[:2]
    return {
        "style": style,
        "truncation": np.full((count, 1), truncation, np.float32),
        "truncation_cutoff": np.full((count, 1), layers if cutoff is None else cutoff, np.int64),
        "noise_strength": np.full((count, 1), noise, np.float32),
    }


class Probe(nn.Module):
    """A synthesis that also gives the truncated styles, and every block's features and image."""

    def __init__(self, stage: SynthesisStage) -> None:
        super().__init__()
        self.stage = stage

    def forward(
        self, style: torch.Tensor, truncation: torch.Tensor, cutoff: torch.Tensor, strength: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        seen: list[torch.Tensor] = []
        parts = [self.stage.truncation, *self.stage.synthesis.blocks()]
        hooks = [
            part.register_forward_hook(lambda _part, _given, out: seen.extend(out if isinstance(out, tuple) else [out]))
            for part in parts
        ]
        image = self.stage(style, truncation, cutoff, strength)
        for hook in hooks:
            hook.remove()
        return image, *seen


def probe(name: str) -> Stage:
    stage = network(name, "uint8").stages[-1]
    synthesis = cast(SynthesisStage, stage.module)
    sizes = [4 << index for index, _ in enumerate(synthesis.synthesis.blocks())]
    names = ["truncated", *(f"{kind}_b{size}" for size in sizes for kind in ("act", "rgb_skip"))]
    seen = tuple(Tensor(output, "float32", ()) for output in names)
    signature = Signature(stage.signature.inputs, (*stage.signature.outputs, *seen))
    return Stage("probe", Probe(synthesis).eval(), signature)


@pytest.fixture(scope="module", params=["torch", "onnx"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opener:
    """Opens a stage as it was loaded, or as it was exported; each once."""
    known: dict[tuple[str, str], Runner] = {}

    def open_stage(name: str, stage: Stage) -> Runner:
        key = name, stage.role
        if request.param == "torch":
            return runtime.reference(stage)
        if key not in known:
            directory = tmp_path_factory.mktemp("model")
            onnx.write(stage, directory / "model.onnx")
            known[key] = runtime.open_model(directory)
        return known[key]

    return open_stage


def channels_first(image: Array) -> Array:
    return image.transpose(0, 3, 1, 2)


@pytest.mark.parametrize("name", CASES)
def test_styles_are_the_official_ones(opened: Opener, name: str) -> None:
    run = opened(name, network(name).stages[0])
    case(name).assert_close(run(case(name).latents())["style"], "ws_trunc_off")


@pytest.mark.parametrize("name", CASES)
def test_images_are_the_official_ones(opened: Opener, name: str) -> None:
    mapping, synthesis = (opened(name, stage) for stage in network(name).stages)
    style = mapping(case(name).latents())["style"]
    compared = [image for image in IMAGES if image in case(name).arrays]
    for image in compared:
        found = synthesis(controls(style, *IMAGES[image]))["image"]
        case(name).assert_close(channels_first(found), image)
    assert len(compared) == (4 if name in ADA else 3)


@pytest.mark.parametrize(("name", "cut"), [*((name, 4) for name in ADA), ("genforce_16", 2)])
def test_mixed_styles_give_the_official_image(opened: Opener, name: str, cut: int) -> None:
    mapping, synthesis = (opened(name, stage) for stage in network(name).stages)
    style = mapping(case(name).latents())["style"]
    mixed = np.concatenate([style[:1, :cut], style[1:, cut:]], axis=1)
    case(name).assert_close(mixed, f"ws_mix_cut{cut}")
    case(name).assert_close(channels_first(synthesis(controls(mixed))["image"]), f"image_mix_cut{cut}")


@pytest.mark.parametrize("name", CASES)
def test_truncated_styles_are_the_official_ones(opened: Opener, name: str) -> None:
    found = opened(name, probe(name))(controls(case(name).arrays["ws_trunc_off"], 0.7, 4))
    case(name).assert_close(found["truncated"], "ws_trunc_0.7_4")


@pytest.mark.parametrize("name", ADA)
def test_every_block_gives_the_official_features_and_colours(opened: Opener, name: str) -> None:
    found = opened(name, probe(name))(controls(case(name).arrays["ws_trunc_off"][:1]))
    compared = [key for key in case(name).arrays if key.startswith(("rgb_skip_b", "act_b"))]
    for key in compared:
        case(name).assert_close(found[key], key)
    assert len(compared) == {"ada_64": 7, "ada_cond_32": 6}[name]


@pytest.mark.parametrize("name", ADA)
def test_pixels_are_the_official_ones_within_a_level(opened: Opener, name: str) -> None:
    found = opened(name, probe(name))(controls(case(name).arrays["ws_trunc_off"]))["image"]
    difference = np.abs(found.astype(int) - case(name).arrays["uint8_trunc_off"])
    assert found.dtype == np.uint8
    assert difference.max() <= case(name).facts["tolerance"]["uint8"]
    # The rules differ in ties alone.
    assert np.mean(difference == 0) > 0.999


@pytest.mark.parametrize("name", ADA)
def test_the_state_dict_gives_what_the_snapshot_gives(name: str) -> None:
    style = case(name).arrays["ws_trunc_off"]
    network_of_state = FAMILY.load(GOLDEN / name / "G_ema_state_dict.pt", Options("float32"))
    found, expected = (
        runtime.reference(loaded.stages[1])(controls(style))["image"] for loaded in (network_of_state, network(name))
    )
    np.testing.assert_array_equal(found, expected)
