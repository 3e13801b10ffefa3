"""StyleGAN's containers and options; test_stylegan_golden.py has what the official code computes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from pellucid_export import exporter, runtime, source
from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.families import stylegan
from pellucid_export.families.stylegan import Options, Plan
from pellucid_export.form import Form
from pellucid_export.repository import Repository
from tests.pellucid_export import tf_files
from tests.pellucid_export.families import test_pggan
from tests.pellucid_export.families.test_pggan import Attack, Container, changed, genforce_file, without
from tests.pellucid_export.published.stylegan import weights

pytestmark = pytest.mark.torch

PLAN = Plan(mapping=(6, 5, 7), classes=0, channels=(4, 3, 3), colours=3)
# The smallest generator of which a layer is fused, that to 128 pixels.
FUSED_PLAN = Plan(mapping=(6, 5, 7), classes=0, channels=(4, 4, 4, 3, 3, 2), colours=3)
FUSED = "synthesis.layer10.weight"

# Longer parts first.
_INTERFACEGAN = (
    (r"(mapping\.dense\d+)\.weight", r"\1.linear.weight"),
    (r"(mapping\.dense\d+)\.bias", r"\1.wscale.bias"),
    (r"(layer\d+)\.style\.weight", r"\1.epilogue.style_mod.dense.linear.weight"),
    (r"(layer\d+)\.style\.bias", r"\1.epilogue.style_mod.dense.wscale.bias"),
    (r"(layer\d+)\.(bias|apply_noise\.\w+)", r"\1.epilogue.\2"),
    (r"(layer\d+|output\d+)\.weight", r"\1.conv.weight"),
    (r"layer0\.const", "layer0.first_layer"),
)


def interfacegan_file(folder: Path, state: State) -> Path:
    renamed = {}
    for name, tensor in state.items():
        if name == FUSED:
            renamed[name] = tensor.permute(2, 3, 1, 0)
            continue
        matching = [(old, new) for old, new in _INTERFACEGAN if re.search(f"{old}$", name)]
        renamed[re.sub(*matching[0], name) if matching else name] = tensor
    torch.save(renamed, folder / "interfacegan.pth")
    return folder / "interfacegan.pth"


def tensorflow_file(folder: Path, state: State, **settings: object) -> Path:
    components = {
        "mapping": tf_files.network("G_mapping", mapping_variables(state), settings),
        "synthesis": tf_files.network("G_synthesis", synthesis_variables(state), settings),
    }
    top = {"lod": state["synthesis.lod"], "dlatent_avg": state["truncation.w_avg"]}
    network = tf_files.network("G_style", top, components=components)
    return tf_files.write(folder / "tensorflow.pkl", tf_files.STYLE, network)


def mapping_variables(state: State) -> State:
    found = {}
    for name, tensor in state.items():
        if part := re.fullmatch(r"mapping\.dense(\d+)\.(\w+)", name):
            found[f"Dense{part[1]}/{part[2]}"] = tensor.mT if tensor.ndim == 2 else tensor
        elif name == "mapping.label_weight":
            found["LabelConcat/weight"] = tensor
    return found


def synthesis_variables(state: State) -> State:
    found = {"lod": torch.tensor(7.0)}
    blocks = sum(name.startswith("synthesis.output") for name in state) // 2
    for name, tensor in state.items():
        weight = tensor.permute(2, 3, 1, 0) if tensor.ndim == 4 else tensor.mT if tensor.ndim == 2 else tensor
        if part := re.fullmatch(r"synthesis\.output(\d+)\.(\w+)", name):
            found[f"ToRGB_lod{blocks - 1 - int(part[1])}/{part[2]}"] = weight
        elif part := re.fullmatch(r"synthesis\.layer(\d+)\.apply_noise\.noise", name):
            found[f"noise{part[1]}"] = tensor
        elif (part := re.fullmatch(r"synthesis\.layer(\d+)\.(.+)", name)) and "blur" not in name:
            layer = int(part[1])
            scope = ("Const", "Conv")[layer] if layer < 2 else ("Conv0_up", "Conv1")[layer % 2]
            size = 4 << layer // 2
            rest = part[2].replace("style.", "StyleMod/").replace("apply_noise.", "Noise/")
            found[f"{size}x{size}/{scope}/{rest}"] = tensor if rest == "const" else weight
    return found


def arguments(rows: int, layers: int, width: int) -> dict[str, np.ndarray]:
    """Random styles, every sample with controls of its own."""
    random = np.random.default_rng(0)
    return {
        "style": random.standard_normal((rows, layers, width), dtype=np.float32),
        "truncation": np.linspace(-1.5, 1.5, rows, dtype=np.float32)[:, None],
        "truncation_cutoff": np.arange(rows)[:, None] % (layers + 1),
        "noise_strength": np.linspace(0, 1, rows, dtype=np.float32)[:, None],
    }


def images(path: Path, options: Options) -> np.ndarray:
    mapping, synthesis = stylegan.load(path, options).stages
    layers, width = mapping.signature.outputs[0].shape
    return runtime.reference(synthesis)(arguments(3, layers, width))["image"]


@pytest.mark.parametrize("container", [interfacegan_file, tensorflow_file])
def test_every_container_gives_the_same_images_and_digest(container: Container, tmp_path: Path) -> None:
    options, state = Options(pixels="float32"), weights(FUSED_PLAN)
    paths = genforce_file(tmp_path, state), container(tmp_path, state)
    expected, found = (stylegan.load(path, options) for path in paths)
    assert found.weights_digest == expected.weights_digest
    np.testing.assert_array_equal(images(paths[1], options), images(paths[0], options))
    latent = np.random.default_rng(0).standard_normal((2, 6), dtype=np.float32)
    styles = [runtime.reference(network.stages[0])({"latent": latent})["style"] for network in (expected, found)]
    np.testing.assert_array_equal(*styles)
    assert styles[0].shape == (2, 12, 7)
    assert styles[0].std() > 0.1


def test_whether_upsampling_was_fused_in_training_can_be_said(tmp_path: Path) -> None:
    state = weights(PLAN)
    upsampling = ("synthesis.layer2.weight", "synthesis.layer4.weight")
    flipped = {**state, **{name: state[name].flip(2, 3) for name in upsampling}}
    plain = images(genforce_file(tmp_path, state), Options(pixels="float32"))
    fused = images(genforce_file(tmp_path, flipped), Options(pixels="float32", fused="yes"))
    np.testing.assert_array_equal(plain, fused)
    by_setting = images(tensorflow_file(tmp_path, flipped, fused_scale=True), Options(pixels="float32"))
    np.testing.assert_array_equal(plain, by_setting)
    large = {**weights(FUSED_PLAN)}
    automatic = images(genforce_file(tmp_path, large), Options(pixels="float32"))
    large[FUSED] = large[FUSED].flip(2, 3)
    never = images(genforce_file(tmp_path, large), Options(pixels="float32", fused="no"))
    np.testing.assert_array_equal(automatic, never)


def test_a_label_is_embedded_beside_the_latent(tmp_path: Path) -> None:
    state = weights(replace(PLAN, mapping=(12, 5, 7), classes=4))
    latent = np.random.default_rng(0).standard_normal((2, 6), dtype=np.float32)
    label = np.array([[0, 1, 0, 0], [0.5, 0, 0.5, 0]], np.float32)
    w = torch.cat([torch.from_numpy(latent), torch.from_numpy(label) @ state["mapping.label_weight"]], dim=1)
    w = w / w.square().mean(1, keepdim=True).sqrt()
    for index, before in enumerate((12, 5)):
        weight, bias = (state[f"mapping.dense{index}.{kind}"] * 0.01 for kind in ("weight", "bias"))
        w = functional.leaky_relu(w @ weight.mT * sqrt(2 / before) + bias, 0.2)
    for path in (genforce_file(tmp_path, state), tensorflow_file(tmp_path, state, label_size=4)):
        network = stylegan.load(path, Options())
        style = runtime.reference(network.stages[0])({"latent": latent, "label": label})["style"]
        np.testing.assert_allclose(style[:, 0], w.numpy(), atol=1e-5)
        assert list(network.card.classes.names) == ["class_0", "class_1", "class_2", "class_3"]


def test_rows_at_the_top_and_at_the_bottom_are_cut_off(tmp_path: Path) -> None:
    path = genforce_file(tmp_path, weights(PLAN))
    cars = images(path, Options(height=12))
    np.testing.assert_array_equal(cars, images(path, Options())[:, 2:14])
    card = stylegan.load(path, Options(height=12)).card
    assert (card.height, card.width) == (12, 16)


@pytest.mark.parametrize("height", [-2, 11, 18])
def test_a_height_that_cannot_be_cut_is_refused(height: int, tmp_path: Path) -> None:
    with pytest.raises(FamilyError, match=f"height is {height}; 0 or an even number up to 16 is possible"):
        stylegan.load(genforce_file(tmp_path, weights(PLAN)), Options(height=height))


def test_a_grey_generator_gives_three_equal_channels(tmp_path: Path) -> None:
    found = images(genforce_file(tmp_path, weights(replace(PLAN, colours=1))), Options())
    assert found.shape == (3, 16, 16, 3)
    np.testing.assert_array_equal(found[..., 0], found[..., 2])


def test_a_checkpoint_of_an_unfinished_training_says_so_itself(tmp_path: Path) -> None:
    state = weights(PLAN)
    path = genforce_file(tmp_path, {**state, "synthesis.lod": torch.tensor(1.0)})
    own, finished = images(path, Options()), images(path, Options(lod=0.0))
    np.testing.assert_array_equal(own[:, ::2, ::2], own[:, 1::2, 1::2])
    assert np.abs(own.astype(int) - finished).max() > 20
    tensorflow = tensorflow_file(tmp_path, {**state, "synthesis.lod": torch.tensor(1.0)})
    np.testing.assert_array_equal(images(tensorflow, Options()), own)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            without("synthesis.layer3.style.bias"),
            r"StyleGAN of 16 x 16 pixels: missing: synthesis\.layer3\.style\.bias",
        ),
        (without("mapping.dense0.weight"), r"not a StyleGAN: a tensor mapping\.dense0\.weight of 2 axes is expected"),
        (without("synthesis.lod"), r"not a StyleGAN: a tensor synthesis\.lod of 0 axes is expected"),
        (changed("synthesis.torgb", torch.zeros(1)), r"unexpected: synthesis\.torgb"),
        (changed("truncation.w_avg", torch.zeros(5)), r"truncation\.w_avg is \(5,\), not \(7,\)"),
        (changed("synthesis.output0.weight", torch.zeros(2, 4, 1, 1)), "images have 2 channels, 1 or 3 are expected"),
        (changed("truncation.w_avg", torch.full((7,), torch.inf)), r"not finite: truncation\.w_avg"),
        (
            lambda _: test_pggan.weights(test_pggan.PLAN),
            r"not a StyleGAN: a tensor synthesis\.output0\.weight .* found",
        ),
    ],
)
def test_another_network_is_refused_with_what_differs(
    change: Callable[[State], State], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=message):
        stylegan.load(genforce_file(tmp_path, change(weights(PLAN))), Options())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mapping_lrmul": 0.1}, r"G_mapping was built with mapping_lrmul=0\.1; 0\.01 can be exported"),
        ({"blur_filter": [1, 3, 3, 1]}, r"G_synthesis was built with blur_filter=\[1, 3, 3, 1\]"),
        ({"use_instance_norm": False}, "use_instance_norm=False; True can be exported"),
        ({"fused_scale": "sometimes"}, "fused_scale='sometimes'; 'auto' or True or False can be exported"),
    ],
)
def test_a_tensorflow_network_of_other_settings_is_refused(
    settings: Mapping[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=message):
        stylegan.load(tensorflow_file(tmp_path, weights(PLAN), **settings), Options())


def test_a_progressive_gan_in_a_pickle_is_refused_by_its_parts(tmp_path: Path) -> None:
    path = test_pggan.tensorflow_file(tmp_path, test_pggan.weights(test_pggan.PLAN))
    with pytest.raises(CheckpointError, match="G_paper has the parts none, not mapping, synthesis"):
        stylegan.load(path, Options())


@pytest.mark.parametrize("name", ["generator.pth", "generator.pkl"])
def test_a_file_that_would_run_a_command_is_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    path, repository = tmp_path / name, Repository(tmp_path / "models")
    torch.save({"generator_smooth": weights(PLAN), "more": Attack(tmp_path / "made")}, path)
    with pytest.raises(CheckpointError, match=name):
        exporter.export(repository, "tiny", Form("stylegan", source.digest(path)), path)
    assert not (tmp_path / "made").exists()
    assert not (tmp_path / "models" / "tiny").exists()
    assert not (tmp_path / "models" / "tiny.mapping").exists()


@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_a_file_that_ends_early_is_refused(part: float, tmp_path: Path) -> None:
    for container in (genforce_file, tensorflow_file):
        path = container(tmp_path, weights(PLAN))
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * part)])
        with pytest.raises(CheckpointError, match=f"{path.name}: not a readable"):
            stylegan.load(path, Options())
