"""pg-GAN's containers, options and card; test_pggan_golden.py has what the official code computes."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from pellucid.v1.latent_pb2 import SPACE_Z
from pellucid.v1.model_pb2 import (
    OFFICIAL_SAMPLER_RANDN,
    PRIOR_NORMAL,
    PRIOR_SPHERE,
    TASK_GENERATE,
    LatentPrior,
    LatentSpace,
)
from pellucid_export import exporter, runtime, source
from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.families import pggan
from pellucid_export.families.pggan import Options, Plan
from pellucid_export.family import Network
from pellucid_export.form import Form, Format
from pellucid_export.repository import Repository
from tests.pellucid_export import tf_files
from tests.pellucid_export.published.pggan import weights

pytestmark = pytest.mark.torch

PLAN = Plan(latent=6, classes=0, scales_latent_alone=True, channels=3, widths=(6, 4, 3))
LATENT = np.random.default_rng(0).standard_normal((3, 6), dtype=np.float32)

Images = npt.NDArray[Any]
Container = Callable[[Path, State], Path]


def genforce_file(folder: Path, state: State) -> Path:
    torch.save({"generator": {}, "generator_smooth": state}, folder / "genforce.pth")
    return folder / "genforce.pth"


def genforce_fused_file(folder: Path, state: State) -> Path:
    fused = {name: fuse(tensor).transpose(0, 1) for name, tensor in state.items() if is_upsampling(name)}
    torch.save({"generator_smooth": {**state, **fused}}, folder / "fused.pth")
    return folder / "fused.pth"


def interfacegan_file(folder: Path, state: State) -> Path:
    torch.save(interfacegan_names(state), folder / "interfacegan.pth")
    return folder / "interfacegan.pth"


def interfacegan_fused_file(folder: Path, state: State) -> Path:
    plain = interfacegan_names({name: tensor for name, tensor in state.items() if not is_upsampling(name)})
    fused = {name: fuse(tensor).permute(2, 3, 1, 0) for name, tensor in state.items() if is_upsampling(name)}
    torch.save({**plain, **fused}, folder / "interfacegan_fused.pth")
    return folder / "interfacegan_fused.pth"


def tensorflow_file(folder: Path, state: State, **settings: object) -> Path:
    network = tf_files.network("G_paper", tensorflow_variables(state, "Conv0"), settings)
    return tf_files.write(folder / "tensorflow.pkl", tf_files.PROGRESSIVE, network)


def tensorflow_fused_file(folder: Path, state: State) -> Path:
    variables = tensorflow_variables(state, "Conv0_up")
    for name in variables:
        if name.endswith("Conv0_up/weight"):
            variables[name] = variables[name].flip(0, 1).transpose(2, 3)
    network = tf_files.network("G_paper", variables, {"fused_scale": True})
    return tf_files.write(folder / "tensorflow_fused.pkl", tf_files.PROGRESSIVE, network)


def is_upsampling(name: str) -> bool:
    return name in ("layer2.weight", "layer4.weight")


def fuse(kernel: torch.Tensor) -> torch.Tensor:
    return kernel.flip(2, 3)


def interfacegan_names(state: State) -> State:
    names = {"weight": "conv.weight", "bias": "wscale.bias"}
    return {re.sub(r"(weight|bias)$", lambda part: names[part[1]], name): tensor for name, tensor in state.items()}


def tensorflow_variables(state: State, upsampling: str) -> State:
    variables = {"lod": state["lod"]}
    blocks = sum(name.startswith("output") for name in state) // 2
    for block in range(blocks):
        scope = f"{4 << block}x{4 << block}"
        first, second = ("Dense", "Conv") if block == 0 else (upsampling, "Conv1")
        for ours, theirs in (
            (f"layer{2 * block}", f"{scope}/{first}"),
            (f"layer{2 * block + 1}", f"{scope}/{second}"),
            (f"output{block}", f"ToRGB_lod{blocks - 1 - block}"),
        ):
            variables[f"{theirs}/bias"] = state[f"{ours}.bias"]
            weight = state[f"{ours}.weight"]
            is_dense = theirs.endswith("Dense")
            # A matrix (in, 16 out) whose columns are channels, rows and columns of pixels.
            matrix = weight.flip(2, 3).transpose(0, 1).reshape(weight.shape[1], -1)
            variables[f"{theirs}/weight"] = matrix if is_dense else weight.permute(2, 3, 1, 0)
    return variables


def images(network: Network, **inputs: npt.NDArray[Any]) -> Images:
    (stage,) = network.stages
    return runtime.reference(stage)({"latent": LATENT, **inputs})["image"]


@pytest.mark.parametrize(
    "container",
    [genforce_fused_file, interfacegan_file, interfacegan_fused_file, tensorflow_file, tensorflow_fused_file],
)
def test_every_container_gives_the_same_images_and_digest(container: Container, tmp_path: Path) -> None:
    options, state = Options(pixels="float32"), weights(PLAN)
    expected = pggan.load(genforce_file(tmp_path, state), options)
    found = pggan.load(container(tmp_path, state), options)
    assert found.weights_digest == expected.weights_digest
    np.testing.assert_array_equal(images(found), images(expected))
    assert images(found).std() > 0.1


def test_the_card_says_that_only_the_latents_direction_counts(tmp_path: Path) -> None:
    network = pggan.load(genforce_file(tmp_path, weights(PLAN)), Options())
    card = network.card
    assert (card.task, card.height, card.width) == (TASK_GENERATE, 16, 16)
    assert card.latent == LatentPrior(size=6, prior=PRIOR_SPHERE, official_sampler=OFFICIAL_SAMPLER_RANDN)
    assert list(card.spaces) == [LatentSpace(space=SPACE_Z, size=6, layers=1)]
    assert not card.HasField("classes")
    assert [tensor.name for tensor in network.stages[0].signature.inputs] == ["latent"]


def test_a_label_joins_the_latent_when_that_is_normalised(tmp_path: Path) -> None:
    """So do genforce's files; the same network without classes gets the joined vector."""
    path = genforce_file(tmp_path, weights(replace(PLAN, latent=8)))
    labelled, plain = (pggan.load(path, Options(pixels="float32", classes=classes, fused="no")) for classes in (2, 0))
    label = np.array([[1, 0], [0, 1], [0.25, 0.75]], np.float32)
    scaled = LATENT / np.sqrt(np.square(LATENT).mean(1, keepdims=True))
    (stage,) = plain.stages
    joined = runtime.reference(stage)({"latent": np.concatenate([scaled, label], axis=1)})["image"]
    np.testing.assert_allclose(images(labelled, label=label), joined, atol=1e-3)
    assert list(labelled.card.classes.names) == ["class_0", "class_1"]
    assert labelled.card.latent.prior == PRIOR_SPHERE


def test_in_tensorflows_files_latent_and_label_are_normalised_together(tmp_path: Path) -> None:
    state = weights(replace(PLAN, latent=8))
    options = Options(pixels="float32")
    labelled = pggan.load(tensorflow_file(tmp_path, state, label_size=2), options)
    plain = pggan.load(genforce_file(tmp_path, state), replace(options, classes=0))
    label = np.array([[1, 0], [0, 1], [0.25, 0.75]], np.float32)
    (stage,) = plain.stages
    joined = runtime.reference(stage)({"latent": np.concatenate([LATENT, label], axis=1)})["image"]
    np.testing.assert_allclose(images(labelled, label=label), joined, atol=1e-6)
    assert labelled.card.latent.prior == PRIOR_NORMAL


def test_a_grey_generator_gives_three_equal_channels(tmp_path: Path) -> None:
    network = pggan.load(genforce_file(tmp_path, weights(replace(PLAN, channels=1))), Options())
    found = images(network)
    assert found.shape == (3, 16, 16, 3)
    np.testing.assert_array_equal(found[..., 0], found[..., 2])


def test_a_checkpoint_of_an_unfinished_training_says_so_itself(tmp_path: Path) -> None:
    state = weights(PLAN)
    unfinished = genforce_file(tmp_path, {**state, "lod": torch.tensor(1.5)})
    own = images(pggan.load(unfinished, Options(pixels="float32")))
    finished = images(pggan.load(unfinished, Options(pixels="float32", lod=0.0)))
    path = genforce_file(tmp_path, state)
    np.testing.assert_array_equal(own, images(pggan.load(path, Options(pixels="float32", lod=1.5))))
    np.testing.assert_array_equal(finished, images(pggan.load(path, Options(pixels="float32"))))
    assert np.abs(own - finished).max() > 0.1
    np.testing.assert_array_equal(own[:, ::2, ::2], own[:, 1::2, 1::2])


@pytest.mark.parametrize("lod", [2.5, -0.5, 3.0])
def test_a_level_of_detail_beyond_the_generators_is_refused(lod: float, tmp_path: Path) -> None:
    with pytest.raises(FamilyError, match=rf"lod is {lod:g}; 0 \(finished\) to 2"):
        pggan.load(genforce_file(tmp_path, weights(PLAN)), Options(lod=lod))


@pytest.mark.parametrize(
    ("widths", "options", "message"),
    [
        ((5, 4), Options(), "layer0 takes 6 numbers and gives 5: .* say classes=0, or classes=1 if latents have 5"),
        ((8, 4), Options(), "layer0 takes 6 numbers and gives 8: how many of them are a label"),
        ((6, 6, 6), Options(), "no layer changes its width, .*: say fused=yes or no"),
        ((6, 4), Options(classes=6), "classes is 6; layer0 takes 6 numbers, 0 to 5 may be a label"),
        ((6, 4), Options(fused="yes"), r"do not fit a pg-GAN of 8 x 8 pixels: shapes: layer2.weight is \(6, 4, 3, 3\)"),
    ],
)
def test_what_shapes_leave_open_is_asked_for(
    widths: tuple[int, ...], options: Options, message: str, tmp_path: Path
) -> None:
    path = genforce_file(tmp_path, weights(replace(PLAN, widths=widths)))
    with pytest.raises(CheckpointError, match=message):
        pggan.load(path, options)


def without(name: str) -> Callable[[State], State]:
    return lambda state: {key: value for key, value in state.items() if key != name}


def changed(name: str, value: torch.Tensor) -> Callable[[State], State]:
    return lambda state: {**state, name: value}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("layer3.bias"), "pg-GAN of 16 x 16 pixels: missing: layer3.bias"),
        (without("layer0.weight"), r"not a pg-GAN: a tensor layer0\.weight of 4 axes is expected"),
        (without("output0.weight"), r"not a pg-GAN: a tensor (layer4\.weight|output0\.weight|layer2)"),
        (without("lod"), r"not a pg-GAN: a tensor lod of 0 axes is expected"),
        (changed("layer9.weight", torch.zeros(1)), r"unexpected: layer9\.weight"),
        (changed("layer3.weight", torch.zeros(4, 4, 5, 5)), r"layer3\.weight is \(4, 4, 5, 5\), not \(4, 4, 3, 3\)"),
        (changed("layer3.bias", torch.full((4,), torch.nan)), r"not finite: layer3\.bias"),
        (changed("output0.weight", torch.zeros(2, 6, 1, 1)), "images have 2 channels, 1 or 3 are expected"),
        (lambda _: {"main.0.weight": torch.zeros(6, 3, 4, 4)}, r"output0\.weight .* found are main\.0\.weight"),
    ],
)
def test_another_network_is_refused_with_what_differs(
    change: Callable[[State], State], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=message):
        pggan.load(genforce_file(tmp_path, change(weights(PLAN))), Options())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_pixelnorm": False}, "G_paper was built with use_pixelnorm=False; True can be exported"),
        ({"label_size": "many"}, "label_size='many', which is no whole number"),
        ({"label_size": 6}, "classes is 6"),
    ],
)
def test_a_tensorflow_network_of_other_settings_is_refused(
    settings: Mapping[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=message):
        pggan.load(tensorflow_file(tmp_path, weights(PLAN), **settings), Options())


def test_unknown_tensorflow_variables_are_named(tmp_path: Path) -> None:
    state = tensorflow_variables(weights(PLAN), "Conv0")
    state["5x5/Conv1/weight"] = torch.zeros(3, 3, 6, 6)
    network = tf_files.network("G_paper", state)
    path = tf_files.write(tmp_path / "network.pkl", tf_files.PROGRESSIVE, network)
    with pytest.raises(CheckpointError, match="unexpected: 5x5/Conv1/weight"):
        pggan.load(path, Options())


class Attack:
    """Unpickling it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("name", ["generator.pth", "generator.pkl"])
def test_a_file_that_would_run_a_command_is_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    path, repository = tmp_path / name, Repository(tmp_path / "models")
    torch.save({"generator_smooth": weights(PLAN), "more": Attack(tmp_path / "made")}, path)
    with pytest.raises(CheckpointError, match=name):
        exporter.export(repository, "tiny", Form("pggan", source.digest(path)), path)
    assert not (tmp_path / "made").exists()
    assert not (tmp_path / "models" / "tiny").exists()


@pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
def test_a_file_that_ends_early_is_refused(part: float, tmp_path: Path) -> None:
    for container in (genforce_file, tensorflow_file):
        path = container(tmp_path, weights(PLAN))
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * part)])
        with pytest.raises(CheckpointError, match=f"{path.name}: not a readable"):
            pggan.load(path, Options())


@pytest.mark.parametrize("form", [Format.ONNX, Format.TORCHSCRIPT])
def test_both_formats_follow_the_network_in_any_batch(form: Format, tmp_path: Path) -> None:
    path = genforce_file(tmp_path, weights(replace(PLAN, latent=8)))
    options = {"classes": "2", "fused": "no"}
    asked = Form("pggan", source.digest(path), options=options, format=form, max_batch_size=4)
    exported = exporter.export(Repository(tmp_path / "models"), "tiny", asked, path)
    assert exported.version.parity.max_error <= 1
    run = runtime.open_model(exported.directory)
    label = np.array([[1, 0], [0, 1], [0.5, 0.5]], np.float32)
    batch = run({"latent": LATENT, "label": label})["image"].astype(int)
    for row in range(3):
        alone = run({"latent": LATENT[row : row + 1], "label": label[row : row + 1]})["image"].astype(int)
        assert np.abs(batch[row] - alone[0]).max() <= 1
    assert np.abs(batch[0] - batch[1]).max() > 20
