"""Golden images of the official code, asked for through the gateway and Triton, within one 8-bit level."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid.v1 import image_pb2
from pellucid_client import Client, Controls, Distance, Latent, StyleMix
from pellucid_client.demo.stack import Stack
from tests.e2e.conftest import START_TIMEOUT_S
from tests.e2e.gallery import CASES, Case, export_all
from tests.pellucid_export.families import custom_toys

# The exports come before the first test.
pytestmark = [pytest.mark.torch, pytest.mark.stack, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, work = tmp_path_factory.mktemp("gallery"), tmp_path_factory.mktemp("work")
    export_all(root, CASES)
    custom_toys.save(work / "painter.pt", custom_toys.Painter(), torch.zeros(2, 2), torch.zeros(2, 3))
    (work / "painter.yaml").write_text(CARD)
    command("export", "custom", str(work / "painter.pt"), "--name", "painter", "--repository", str(root))
    for model, name, row in (
        ("painter", "painter_light_boundary", [1.0, 1.0]),
        ("stylegan", "mini_smile_w_boundary", SMILE),
    ):
        np.save(work / f"{name}.npy", np.array([row]) / np.linalg.norm(row))
        file, options = str(work / f"{name}.npy"), ("--for-model", "--repository", str(root))
        command("axes", "import", file, "--model", model, *options)
    return root


def command(*words: str) -> None:
    """Run `pellucid`."""
    done = subprocess.run(
        [sys.executable, "-m", "pellucid_client", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def client(gallery: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with (
        Stack.of_repository(gallery, tmp_path_factory.mktemp("stack") / "log", START_TIMEOUT_S) as stack,
        Client(stack.facts["gateway"]) as connected,
    ):
        yield connected


def levels(official: np.ndarray) -> np.ndarray:
    """8-bit levels (N, H, W, 3) of official images (N, 3, H, W) in [-1, 1]."""
    return np.clip((official.astype(np.float64) + 1) * 127.5, 0, 255).transpose(0, 2, 3, 1)


def assert_served(client: Client, case: Case, latents: np.ndarray, official: np.ndarray, **controls: object) -> None:
    images = client.generate(case.model, latents, format="raw", controls=Controls(**controls))
    served = np.stack([image.array() for image in images]).astype(np.float64)
    assert np.abs(served - levels(official)).max() <= 1.0


@pytest.mark.parametrize("model", ["pggan", "pggan-fused", "pggan-old", "pggan-tf"])
def test_pggan(client: Client, model: str) -> None:
    case = CASES[model]
    z = "z" if "z" in case.arrays.files else "z_sphere"
    assert_served(client, case, case.arrays[z], case.arrays["image"])


def test_stylegan_from_tensorflow(client: Client) -> None:
    case = CASES["stylegan-tf"]
    arrays, z = case.arrays, case.arrays["z"]
    assert_served(client, case, z, arrays["image_trunc_off"], truncation=1.0)
    assert_served(client, case, z, arrays["image_trunc_0.7_8"], truncation=0.7, truncation_cutoff=8)


def test_pggan_with_labels(client: Client) -> None:
    case = CASES["pggan-label"]
    for row, label in enumerate(case.arrays["label"]):
        chosen = {int(index): float(share) for index, share in enumerate(label) if share > 0}
        rows = slice(row, row + 1)
        assert_served(client, case, case.arrays["z"][rows], case.arrays["image"][rows], classes=chosen)


def test_stylegan_truncates_mixes_and_leaves_noise_out(client: Client) -> None:
    case = CASES["stylegan"]
    arrays, z = case.arrays, case.arrays["z"]
    assert_served(client, case, z, arrays["image_trunc_off"], truncation=1.0)
    assert_served(client, case, z, arrays["image_trunc_0.7_8"], truncation=0.7, truncation_cutoff=8)
    assert_served(client, case, z[:1], arrays["image_trunc_0.5_all"], truncation=0.5, truncation_cutoff=12)
    assert_served(client, case, z[1:], arrays["image_trunc_-0.5_4"], truncation=-0.5, truncation_cutoff=4)
    assert_served(client, case, z[:1], arrays["image_zero_noise"], truncation=1.0, noise_strength=0.0)
    for cut in (4, 8):
        mix = (StyleMix(Latent(z[1]), cut, 11),)
        assert_served(client, case, z[:1], arrays[f"image_mix_cut{cut}"], truncation=1.0, style_mixes=mix)
    mix = (StyleMix(Latent(z[1]), 4, 11),)
    official = arrays["image_mix_cut4_trunc_0.7_8"]
    assert_served(client, case, z[:1], official, truncation=0.7, truncation_cutoff=8, style_mixes=mix)


def test_stylegan_takes_styles_where_interfacegan_does(client: Client) -> None:
    case = CASES["stylegan-old"]
    arrays = case.arrays
    controls = {"truncation": 0.7, "truncation_cutoff": 8}
    assert_served(client, case, arrays["z_sphere"], arrays["image_trunc_0.7_8"], **controls)
    for space, given, official, how in (
        ("w", "w_edit", "image_w_edit", controls),
        ("w+", "wp_raw", "image_wp_raw", {"truncation": 1.0}),
    ):
        for row in range(2):
            latent = Latent(arrays[given][row], space)
            [image] = client.generate(case.model, latent, format="raw", controls=Controls(**how))
            wanted = levels(arrays[official][row : row + 1])[0]
            assert np.abs(image.array().astype(np.float64) - wanted).max() <= 1.0


@pytest.mark.parametrize("model", ["stylegan2", "stylegan2-cond"])
def test_stylegan2(client: Client, model: str) -> None:
    case = CASES[model]
    arrays, z = case.arrays, case.arrays["z"]
    for row in range(len(z)):
        rows = slice(row, row + 1)
        classes = {}
        if "c" in arrays.files:
            classes = {int(k): float(share) for k, share in enumerate(arrays["c"][row]) if share > 0}
        for official, controls in (
            ("image_trunc_off", {}),
            ("image_trunc_0.7_4", {"truncation": 0.7, "truncation_cutoff": 4}),
            ("image_trunc_0.7_all", {"truncation": 0.7}),
            ("image_nonoise", {"noise_strength": 0.0}),
        ):
            assert_served(client, case, z[rows], arrays[official][rows], classes=classes, **controls)


@pytest.mark.parametrize("truncation", [1, 0.9, 0.5, 0.43, 0.58, 0.14, 0.02, 0.01, 0.005])
def test_biggan_deep_at_each_truncation(client: Client, truncation: float) -> None:
    case = CASES["biggan-deep"]
    arrays = case.arrays
    for row, label in enumerate(arrays["class_onehot"]):
        rows = slice(row, row + 1)
        official = arrays[f"image_t{truncation}"][rows]
        assert_served(client, case, arrays["z"][rows], official, classes=int(label.argmax()), truncation=truncation)


def test_biggan_deep_draws_what_its_own_sampler_draws(client: Client) -> None:
    case = CASES["biggan-deep"]
    [image] = client.generate(
        case.model,
        image_pb2.Recipe(model=f"models/{case.model}", seed=7, sampler=image_pb2.SAMPLER_OFFICIAL),
        include_latent=True,
        controls=Controls(classes=0, truncation=0.5),
    )
    assert image.latent is not None
    assert np.array_equal(image.latent.values, case.arrays["truncated_noise_sample_b2_d16_t0.5_seed7"][0])


@pytest.mark.parametrize("model", ["biggan", "biggan-pytorch-deep", "biggan-cifar"])
def test_biggan(client: Client, model: str) -> None:
    case = CASES[model]
    arrays = case.arrays
    for row, number in enumerate(arrays["y"]):
        rows = slice(row, row + 1)
        assert_served(client, case, arrays["z"][rows], arrays["image"][rows], classes=int(number))


@pytest.mark.parametrize("model", ["attngan", "attngan-dcgan"])
def test_attngan(client: Client, model: str) -> None:
    case = CASES[model]
    arrays = case.arrays
    for row, caption in enumerate(case.facts["config"]["captions"]):
        controls = {"caption": caption, "conditioning_noise": arrays[f"single{row}_ca_eps"][0]}
        assert_served(client, case, arrays["z"][row : row + 1], arrays[f"single{row}_img256"], **controls)


def test_attngan_shows_its_stages_and_what_each_word_drew(client: Client) -> None:
    case = CASES["attngan"]
    arrays = case.arrays
    caption = case.facts["config"]["captions"][1]
    controls = Controls(caption=caption, conditioning_noise=arrays["single1_ca_eps"][0])
    [image] = client.generate(
        case.model,
        arrays["z"][1:2],
        format="raw",
        controls=controls,
        include_intermediates=True,
        include_attention=True,
    )
    for smaller, size in zip(image.intermediates, (64, 128), strict=True):
        wanted = levels(arrays[f"single1_img{size}"])[0]
        assert np.abs(smaller.array().astype(np.float64) - wanted).max() <= 1.0
    maps = arrays["single1_att0"][0].astype(np.float64)
    assert [shown.word for shown in image.attention] == ["the", "small", "red", "bird"] * 2
    for shown, official in zip(image.attention, maps, strict=False):
        assert np.abs(shown.weights - official).max() <= 0.004


def test_a_batch_of_different_controls_equals_the_single_images(client: Client) -> None:
    """Four truncations, four classes and four mixes in one request, through recipes."""
    for model, controls in (
        ("stylegan", [Controls(truncation=t, style_mixes=(StyleMix(50 + k, k, k + 4),)) for k, t in enumerate(T)]),
        ("biggan-deep", [Controls(truncation=abs(t), classes={k: 2, k + 1: 1}) for k, t in enumerate(T)]),
    ):
        singles = [client.generate(model, seed=k, format="raw", controls=one)[0] for k, one in enumerate(controls)]
        together = client.generate(model, [image.recipe for image in singles], format="raw")
        for single, again in zip(singles, together, strict=True):
            assert np.abs(single.array().astype(int) - again.array().astype(int)).max() <= 1
        assert len({single.data for single in singles}) == len(T)


def test_a_generator_that_nobody_has_seen_is_served_with_edits(client: Client) -> None:
    """A TorchScript file, a card of ten lines, a direction of one's own: (z0 + z1 + colour of the class + 1) * 127.5."""
    [image] = client.generate("painter", np.array([[0.25, 0.0]]), format="raw", controls=Controls(classes="green"))
    assert image.array()[0, 0].tolist() == [159, 191, 159]
    [edited] = client.edit(image, {"painter_light": Distance(-np.sqrt(2) / 4)}, format="raw")
    assert edited.array()[0, 0].tolist() == [96, 128, 96]


def test_edits_in_w_go_through_mapping_edit_mixing_and_truncation_in_this_order(client: Client) -> None:
    from pellucid_export.families import stylegan

    case = CASES["stylegan"]
    network, z = stylegan.load(case.path, stylegan.Options()), case.arrays["z"]
    mapping, synthesis = (stage.module for stage in network.stages)
    unit = np.array(SMILE) / np.linalg.norm(SMILE)
    with torch.inference_mode():
        style, other = mapping(torch.from_numpy(z))
        style = style + 1.75 * torch.from_numpy(unit).float()
        style[6:9] = other[6:9]
        controls = (torch.tensor([[0.6]]), torch.tensor([[7]]), torch.tensor([[0.25]]))
        wanted = synthesis(style[None], *controls)[0].numpy()
    asked = Controls(
        truncation=0.6, truncation_cutoff=7, noise_strength=0.25, style_mixes=(StyleMix(Latent(z[1]), 6, 8),)
    )
    [image] = client.edit(Latent(z[0]), {"mini_smile": Distance(1.75)}, model=case.model, format="raw", controls=asked)
    assert np.abs(image.array().astype(int) - wanted).max() <= 1


T = (1.0, 0.3, 0.7, -0.5)
SMILE = np.random.default_rng(8).standard_normal(32).tolist()
CARD = """
task: generate
latent: 2
classes: [red, green, blue]
inputs:
  latent: z
  label: y
range: -1..1
"""
