"""StyleGAN against outputs of the official code (see case.json beside the arrays), from the official files."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from pellucid_export import onnx, runtime
from pellucid_export.families import stylegan
from pellucid_export.families.stylegan import Options
from pellucid_export.family import Network, Stage
from pellucid_export.networks.synthesis_stage import SynthesisStage
from pellucid_export.runtime import Runner

pytestmark = pytest.mark.torch

GOLDEN = Path(__file__).parents[2] / "golden" / "stylegan1"
GENFORCE = "genforce_128"
CASES = (GENFORCE, "interfacegan_128", "tf_pickle_32")

Array = npt.NDArray[np.generic]


class Case:
    """A case's arrays, its networks, and their stages in torch or in ONNX Runtime, each opened once."""

    def __init__(self, name: str, folder: Path) -> None:
        self.about = json.loads((GOLDEN / name / "case.json").read_text())
        self.arrays = dict(np.load(GOLDEN / name / "io.npz"))
        self.checkpoint = GOLDEN / name / self.about["checkpoint"]
        self._folder = folder
        self._runners: dict[tuple[str, str, Options], Runner] = {}
        self.layers = len([array for array in self.arrays if array.startswith("noise_layer")])

    def load(self, options: Options) -> Network:
        return stylegan.load(self.checkpoint, options)

    def synthesis(self) -> SynthesisStage:
        module = self.load(Options()).stages[1].module
        assert isinstance(module, SynthesisStage)
        return module

    def style(self, way: str) -> Array:
        latent = self.arrays["z" if "z" in self.arrays else "z_sphere"]
        return self._runner("mapping", way, Options())({"latent": latent})["style"]

    def image(
        self,
        way: str,
        style: Array,
        truncation: float = 1.0,
        cutoff: int = 0,
        strength: float = 1.0,
        noise: Array | None = None,
        options: Options | None = None,
    ) -> Array:
        """Images (N, H, W, 3), every sample with the same controls."""
        options = options or Options(pixels="float32")
        rows = len(style)
        inputs = {
            "style": style,
            "truncation": np.full((rows, 1), truncation, np.float32),
            "truncation_cutoff": np.full((rows, 1), cutoff, np.int64),
            "noise_strength": np.full((rows, 1), strength, np.float32),
        }
        if options.noise == "seeded":
            inputs["noise"] = np.zeros((rows, self._noise_size), np.float32) if noise is None else noise
            inputs["noise_seeded"] = np.full((rows, 1), noise is not None, np.float32)
        return self._runner("synthesis", way, options)(inputs)["image"]

    def check(self, name: str, found: Array) -> None:
        """Assert that the array of this name was found, within the case's tolerance."""
        expected, tolerance = self.arrays[name], self.about["tolerance"]
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, tolerance["rtol"], tolerance["atol"], err_msg=name)

    def _runner(self, role: str, way: str, options: Options) -> Runner:
        if (role, way, options) not in self._runners:
            stage = next(stage for stage in self.load(options).stages if stage.role == role)
            self._runners[role, way, options] = runner(stage, way, self._folder / f"{len(self._runners)}.onnx")
        return self._runners[role, way, options]

    @property
    def _noise_size(self) -> int:
        return sum(array.size for name, array in self.arrays.items() if name.startswith("noise_layer"))


def runner(stage: Stage, way: str, path: Path) -> Runner:
    if way == "torch":
        return runtime.reference(stage)
    onnx.write(stage, path)
    return runtime.open_onnx(str(path))


def planes(images: Array) -> Array:
    return images.transpose(0, 3, 1, 2)


def repeated(w: Array, layers: int) -> Array:
    return np.repeat(w[:, None], layers, axis=1)


@pytest.fixture(scope="module")
def get(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    """Gives a case by its name, made once."""
    known = {name: Case(name, tmp_path_factory.mktemp(name)) for name in CASES}
    return known.__getitem__


Get = Callable[[str], Case]


@pytest.mark.parametrize("way", ["torch", "onnx"])
@pytest.mark.parametrize("name", CASES)
def test_a_latent_gives_the_official_style_in_every_layer(get: Get, name: str, way: str) -> None:
    case = get(name)
    style = case.style(way)
    layers = {GENFORCE: 12, "interfacegan_128": 12, "tf_pickle_32": 8}[name]
    assert style.shape[1] == layers
    for layer in range(layers):
        case.check("w", style[:, layer])


@pytest.mark.parametrize(("noise", "way"), [("baked", "torch"), ("seeded", "torch"), ("seeded", "onnx")])
def test_truncation_noise_and_mixing_give_the_official_images(get: Get, noise: str, way: str) -> None:
    case = get(GENFORCE)
    image = partial(case.image, way, options=Options(pixels="float32", noise=noise))
    style = case.style(way)
    for name, found in {
        "image_trunc_off": image(style),
        "image_trunc_0.7_8": image(style, 0.7, 8),
        "image_trunc_0.5_all": image(style[:1], 0.5, case.layers),
        "image_trunc_-0.5_4": image(style[1:], -0.5, 4),
        "image_zero_noise": image(style[:1], strength=0.0),
    }.items():
        case.check(name, planes(found))
    for cutoff in (4, 8):
        mixed = np.concatenate([style[:1, :cutoff], style[1:, cutoff:]], axis=1)
        case.check(f"wp_mix_cut{cutoff}", mixed)
        case.check(f"image_mix_cut{cutoff}", planes(image(mixed)))
        if cutoff == 4:
            case.check("image_mix_cut4_trunc_0.7_8", planes(image(mixed, 0.7, 8)))


@pytest.mark.parametrize("way", ["torch", "onnx"])
def test_a_requests_noise_takes_the_place_of_the_trained_one(get: Get, way: str) -> None:
    case = get(GENFORCE)
    maps = [case.arrays[f"noise_layer{layer}"].reshape(1, -1) for layer in range(case.layers)]
    options = Options(pixels="float32", noise="seeded")
    found = case.image(way, case.style(way)[:1], noise=np.concatenate(maps, axis=1), options=options)
    case.check("image_other_noise", planes(found))


@pytest.mark.parametrize("way", ["torch", "onnx"])
def test_edits_in_w_come_before_truncation_as_in_interfacegan(get: Get, way: str) -> None:
    case = get("interfacegan_128")
    for name, w in (("image_trunc_0.7_8", case.style(way)[:, 0]), ("image_w_edit", case.arrays["w_edit"])):
        case.check(name, planes(case.image(way, repeated(w, 12), 0.7, 8)))
    case.check("image_wp_raw", planes(case.image(way, case.arrays["wp_raw"])))
    # Its `wp` is truncated already.
    case.check("image_trunc_0.7_8", planes(case.image(way, case.arrays["wp"])))
    truncation = case.synthesis().truncation
    style = torch.from_numpy(repeated(case.arrays["w"], 12))
    case.check("wp", truncation(style, torch.full((2, 1), 0.7), torch.full((2, 1), 8)).numpy())


@pytest.mark.parametrize("way", ["torch", "onnx"])
def test_a_tensorflow_pickle_gives_the_official_images(get: Get, way: str) -> None:
    case = get("tf_pickle_32")
    case.check("image_trunc_off", planes(case.image(way, case.style(way))))
    case.check("image_trunc_0.7_8", planes(case.image(way, case.style(way), 0.7, 8)))


@pytest.mark.parametrize("way", ["torch", "onnx"])
@pytest.mark.parametrize("level", ["1", "1.5"])
def test_unfinished_generators_give_the_official_images_of_full_size(get: Get, level: str, way: str) -> None:
    case = get(GENFORCE)
    found = case.image(way, case.style(way)[:1], options=Options(pixels="float32", lod=float(level)))
    case.check(f"image_lod_{level}", planes(found))


@pytest.mark.parametrize("name", CASES)
def test_served_images_are_within_one_level_of_the_official_ones(get: Get, name: str) -> None:
    case = get(name)
    images = case.image("torch", case.style("torch"), 0.7, 8, options=Options())
    official = (case.arrays["image_trunc_0.7_8"].astype(np.float64) * 127.5 + 128).clip(0, 255).astype(np.uint8)
    assert images.dtype == np.uint8
    assert np.abs(planes(images).astype(np.int64) - official).max() <= 1
    assert images.std() > 15


def test_every_layer_gives_what_the_official_one_gives(get: Get) -> None:
    case = get(GENFORCE)
    synthesis = case.synthesis()
    found: dict[str, Array] = {}

    def keep(name: str, _module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        found[name] = output.numpy()

    for name in case.arrays:
        kind, _, rest = name.partition("_")
        if kind == "act":
            synthesis.get_submodule(f"synthesis.{rest}").register_forward_hook(partial(keep, name))
        elif kind == "style":
            synthesis.get_submodule(f"synthesis.layer{int(rest)}.style").register_forward_hook(partial(keep, name))
    synthesis.truncation.register_forward_hook(partial(keep, "truncated"))

    def run(rows: slice, truncation: float, cutoff: int) -> None:
        style = torch.from_numpy(case.style("torch")[rows])
        one = torch.ones(len(style), 1)
        synthesis(style, one * truncation, one.long() * cutoff, one)

    with torch.inference_mode():
        run(slice(None), 0.7, 8)
        case.check("wp_trunc_0.7_8", found.pop("truncated"))
        run(slice(None), 1.0, 0)
        case.check("wp_trunc_off", found.pop("truncated"))
        styles = {name: values for name, values in found.items() if name.startswith("style")}
        run(slice(1), 1.0, 0)
        found.pop("truncated")
    assert (len(styles), len(found)) == (12, 17)
    for name, values in (found | styles).items():
        case.check(name, values)


def test_only_a_file_without_averaged_weights_gives_the_last_ones(get: Get, tmp_path: Path) -> None:
    case, last = get(GENFORCE), Case(GENFORCE, tmp_path)
    content = torch.load(last.checkpoint, weights_only=True)
    last.checkpoint = tmp_path / "without_average.pth"
    torch.save({"generator": content["generator"]}, last.checkpoint)
    assert last.load(Options()).weights_digest != case.load(Options()).weights_digest
    weights = [each.synthesis().state_dict()["synthesis.output5.weight"] for each in (last, case)]
    torch.testing.assert_close(weights[0], weights[1] / 2)
