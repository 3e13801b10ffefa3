"""Files that are no BigGAN's, or only nearly."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pellucid_export import exporter, runtime, samples, source
from pellucid_export.containers import checkpoints
from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.families.biggan import FAMILY, Options
from pellucid_export.form import Form
from pellucid_export.repository import Repository
from pellucid_export.samples import Array
from tests.pellucid_export.families.test_biggan_golden import case

pytestmark = pytest.mark.torch

EMA = case("ajbrock_64").checkpoint
DEEP_EMA = case("ajbrock_deep_32").checkpoint
FOLDER = case("hf_deep_32").checkpoint
WEIGHTS, CONFIG = "pytorch_model.bin", "config.json"


class Attack:
    """Unpickling it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the official folder, to be spoilt."""
    copy = tmp_path / "model"
    copy.mkdir()
    for name in (WEIGHTS, CONFIG):
        shutil.copyfile(FOLDER / name, copy / name)
    return copy


def respell(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **changes}))


def saved(path: Path, state: State) -> Path:
    torch.save(state, path)
    return path


def images(path: Path) -> Array:
    [stage] = FAMILY.load(path, Options(pixels="float32")).stages
    return runtime.reference(stage)(samples.draw(stage.signature, 2, seed=4))["image"]


def test_the_published_names_are_read_as_well(folder: Path) -> None:
    expected = FAMILY.load(folder, Options()).weights_digest
    for name in (WEIGHTS, CONFIG):
        (folder / name).rename(folder / f"biggan-deep-256-{name}")
    assert FAMILY.load(folder, Options()).weights_digest == expected


def test_statistics_that_the_norms_counted_themselves_are_divided_by_their_count(tmp_path: Path) -> None:
    state = checkpoints.load_state(EMA)
    counted = {}
    for name, tensor in state.items():
        norm, _, leaf = name.rpartition(".")
        if leaf.startswith("stored_"):
            counted[f"{norm}.bn.{leaf}"] = 4 * tensor
            counted[f"{norm}.bn.accumulation_counter"] = torch.tensor([4.0])
        else:
            counted[name] = tensor
    np.testing.assert_array_equal(images(saved(tmp_path / "counted.pth", counted)), images(EMA))
    for name in counted:
        if name.endswith("_counter"):
            counted[name] = torch.zeros(1)
    assert np.abs(images(saved(tmp_path / "uncounted.pth", counted)) - images(EMA)).max() > 0.1


def test_weights_without_a_spectral_norm_are_taken_as_they_are(tmp_path: Path) -> None:
    state = checkpoints.load_state(EMA)
    plain = {name: tensor for name, tensor in state.items() if not name.endswith((".u0", ".sv0"))}
    assert np.abs(images(saved(tmp_path / "plain.pth", plain)) - images(EMA)).max() > 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"z_dim": "16"}, "config.json: z_dim is '16'"),
        ({"n_stats": True}, "config.json: n_stats is True"),
        ({"eps": 0, "layers": "all"}, "config.json: eps is 0, layers is 'all'"),
        ({"attention_layer_position": None}, "attention_layer_position is None"),
        ({"layers": [[0, 16, 16]]}, r"layers is \[\[0, 16, 16\]\]"),
        ({"layers": []}, "layers must narrow from 16 to 1 by halves"),
        ({"layers": [[True, 16, 8], [True, 4, 1]]}, r"must narrow.*found \[\(16, 8\), \(4, 1\)\]"),
        ({"output_dim": 64}, "output_dim is 64, but the layers make images of 32 pixels"),
        ({"n_stats": 1}, "n_stats must be at least 2, found 1"),
        (
            {"n_stats": 10**12},
            r"generator.bn.running_means is \(51, 8\), but config.json asks for \(1000000000000, 8\)",
        ),
        ({"channel_width": 10**9}, r"generator.gen_z.weight_orig is \(2048, 32\), but config.json asks for"),
        ({"num_classes": 13}, r"embeddings.weight is \(16, 12\), but config.json asks for \(16, 13\)"),
        (
            {"attention_layer_position": 5},
            r"do not fit a BigGAN-deep of 32 x 32 pixels and 12 classes \(config.json\): missing: .*layers\.4\.bn_0",
        ),
        ({"attention_layer_position": -1}, r"missing: .*; unexpected: generator\.layers\.4\.gamma"),
    ],
)
def test_a_configuration_that_is_wrong_or_does_not_fit_is_named(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    respell(folder, **changes)
    with pytest.raises(CheckpointError, match=message):
        FAMILY.load(folder, Options())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "config.json: not readable JSON"),
        ("[1]", "config.json: an object is expected, found list"),
        ("{}", "z_dim is None"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_refused(folder: Path, content: str, message: str) -> None:
    (folder / CONFIG).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        FAMILY.load(folder, Options())


def test_half_a_folder_is_answered_with_what_is_missing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"pytorch_model.bin is half of a model: give the folder .* config.json"):
        FAMILY.load(folder / WEIGHTS, Options())
    (folder / CONFIG).unlink()
    with pytest.raises(CheckpointError, match=r"model: pytorch_model.bin needs config.json beside it"):
        FAMILY.load(folder, Options())
    (folder / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r"a folder with one pytorch_model.bin .* is expected, found none"):
        FAMILY.load(folder, Options())
    with pytest.raises(CheckpointError, match="no such file"):
        FAMILY.load(tmp_path / "absent", Options())


def test_a_folder_of_two_models_is_refused(folder: Path) -> None:
    shutil.copyfile(folder / WEIGHTS, folder / f"other-{WEIGHTS}")
    with pytest.raises(CheckpointError, match=r"found other-pytorch_model.bin, pytorch_model.bin"):
        FAMILY.load(folder, Options())


def without(name: str) -> Callable[[State], State]:
    return lambda state: {key: value for key, value in state.items() if key != name}


def changed(name: str, value: torch.Tensor) -> Callable[[State], State]:
    return lambda state: {**state, name: value}


def only_blocks(*kept: int) -> Callable[[State], State]:
    beginnings = tuple(f"blocks.{block}." for block in kept)
    return lambda state: {
        key: value for key, value in state.items() if not key.startswith("blocks.") or key.startswith(beginnings)
    }


@pytest.mark.parametrize(
    ("path", "spoil", "message"),
    [
        (EMA, lambda _: {"main.0.weight": torch.zeros(6, 3, 4, 4)}, "not a BigGAN: blocks.0, .* found none"),
        (EMA, without("blocks.1.0.conv1.weight"), "lacks blocks.1.0.conv1.weight"),
        (EMA, without("linear.bias"), "do not fit a BigGAN of 64 x 64 pixels, 10 classes and 40 latents: missing: linear.bias"),
        (EMA, without("blocks.2.1.gamma"), "unexpected: blocks.2.1.theta"),
        (EMA, changed("blocks.4.0.extra", torch.zeros(1)), "unexpected: blocks.4.0.extra"),
        (EMA, changed("blocks.0.0.bn1.stored_mean", torch.zeros(3)), r"bn1.stored_mean is \(3,\), not \(128,\)"),
        (EMA, changed("blocks.0.0.bn1.stored_mean", torch.full((128,), np.nan)), "not finite: blocks.0.0.bn1.stored_mean"),
        (EMA, changed("blocks.0.0.conv1.u0", torch.zeros(1, 128)), "not finite: blocks.0.0.conv1.weight"),
        (EMA, changed("shared.weight", torch.zeros(10)), r"shared.weight is expected to have 2 axes, found \(10,\)"),
        (EMA, changed("linear.weight", torch.zeros(2048, 0)), r"linear.weight is expected to have 2 axes, found \(2048, 0\)"),
        (EMA, changed("shared.weight", torch.zeros(10, 30)), r"bn1.gain.weight is \(128, 24\), not \(128, 30\)"),
        (EMA, changed("blocks.1.0.conv1.weight", torch.ones(32, 128, 3, 3)), "blocks.1.0.conv1.u0 has 64 numbers, the weight beside it asks for 32"),
        (DEEP_EMA, only_blocks(0, 1, 2), r"3 blocks; only BigGAN-deep with 2 blocks a resolution \(G_depth\) is known"),
        (DEEP_EMA, only_blocks(0, 2), r"blocks.0, blocks.1, ... are expected, found \[0, 2\]"),
    ],
)  # fmt: skip
def test_another_network_is_refused_with_what_differs(
    tmp_path: Path, path: Path, spoil: Callable[[State], State], message: str
) -> None:
    spoilt = saved(tmp_path / "spoilt.pth", spoil(checkpoints.load_state(path)))
    with pytest.raises(CheckpointError, match=message):
        FAMILY.load(spoilt, Options())


def test_blocks_that_do_not_follow_on_each_other_are_refused(tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in checkpoints.load_state(EMA).items() if not name.endswith((".u0", ".sv0"))}
    state["blocks.1.0.conv1.weight"] = torch.ones(32, 128, 3, 3)
    with pytest.raises(CheckpointError, match=r"widths before and after .* \(128, 32\), \(64, 32\).* is no chain"):
        FAMILY.load(saved(tmp_path / "broken.pth", state), Options())


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated_files_are_refused(folder: Path, tmp_path: Path, share: float) -> None:
    for path in (EMA, folder / WEIGHTS):
        content = path.read_bytes()
        cut = folder / WEIGHTS if path.parent == folder else tmp_path / "cut.pth"
        cut.write_bytes(content[: int(share * len(content))])
        with pytest.raises(CheckpointError, match="not a readable"):
            FAMILY.load(folder if path.parent == folder else cut, Options())


@pytest.mark.parametrize("in_archive", [True, False])
def test_a_pickle_that_would_run_a_command_runs_nothing_and_writes_nothing(
    folder: Path, tmp_path: Path, in_archive: bool
) -> None:
    made, models = tmp_path / "made", Repository(tmp_path / "models")
    attack = {"linear.weight": torch.zeros(1), "generator": Attack(made)}
    for path in (tmp_path / "G_ema.pth", folder / WEIGHTS):
        if in_archive:
            torch.save(attack, path)
        else:
            path.write_bytes(pickle.dumps(attack))
    for checkpoint in (tmp_path / "G_ema.pth", folder):
        with pytest.raises(CheckpointError, match="nothing of it was executed"):
            exporter.export(models, "bad", Form("biggan", source.digest(checkpoint)), checkpoint)
    assert not made.exists()
    assert not models.root.exists()


@pytest.mark.parametrize("epsilon", [0.0, -1e-5, 1.0, float("nan")])
def test_an_epsilon_out_of_range_is_refused(epsilon: float) -> None:
    with pytest.raises(FamilyError, match="option 'bn_eps' must be between 0 and 1, not"):
        FAMILY.load(EMA, Options(bn_eps=epsilon))
