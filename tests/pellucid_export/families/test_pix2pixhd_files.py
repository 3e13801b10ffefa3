"""Files that are no pix2pixHD's, or only nearly, and folders that lack something."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid_export import exporter, source
from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError
from pellucid_export.families import pix2pixhd
from pellucid_export.families.pix2pixhd import FAMILY, Options
from pellucid_export.form import Form
from pellucid_export.repository import Repository
from tests.pellucid_export.families.pix2pixhd_experiments import encoder_state, experiment, global_state, local_state

pytestmark = pytest.mark.torch


class Attack:
    """Unpickling it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.folder),)


def without(state: State, *names: str) -> State:
    return {name: value for name, value in state.items() if name not in names}


def test_the_epoch_chooses_a_folders_files(tmp_path: Path) -> None:
    experiment(tmp_path, global_state(8), encoder_state(2), epoch="latest")
    experiment(tmp_path, global_state(5), epoch="40")
    latest, fortieth = (pix2pixhd.load(tmp_path, Options(epoch=epoch)) for epoch in ("latest", "40"))
    assert len(latest.stages) == 2
    assert [len(fortieth.stages), fortieth.card.translation.label_map.count] == [1, 4]
    with pytest.raises(CheckpointError, match=r"60_net_G\.pth is missing .generators found: 40_net_G\.pth, latest_net"):
        pix2pixhd.load(tmp_path, Options(epoch="60"))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"latest_net_G\.pth is missing .generators found: none."):
        pix2pixhd.load(tmp_path, Options())


def test_a_generators_file_is_read_alone(tmp_path: Path) -> None:
    experiment(tmp_path, global_state(8), encoder_state(2))
    network = pix2pixhd.load(tmp_path / "latest_net_G.pth", Options())
    assert [len(network.stages), network.card.translation.label_map.count] == [1, 7]


def test_the_digest_is_of_all_that_a_folder_holds(tmp_path: Path) -> None:
    generator, encoder = global_state(8), encoder_state(2)
    digests = []
    for number, (state, clusters) in enumerate(
        [(None, None), (encoder, None), (encoder, {0: np.zeros((1, 2))}), (encoder, {0: np.ones((1, 2))})]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        digests.append(pix2pixhd.load(experiment(folder, generator, state, clusters), Options()).weights_digest)
    assert len(set(digests)) == 4
    assert pix2pixhd.load(tmp_path / "0" / "latest_net_G.pth", Options()).weights_digest == digests[0]


def test_an_encoder_of_the_older_layout_is_refused_as_such(tmp_path: Path) -> None:
    state = encoder_state(2, halvings=4)
    state |= {f"model.28.{part}": state.pop(f"model.29.{part}") for part in ("weight", "bias")}
    experiment(tmp_path, global_state(8), state)
    with pytest.raises(
        CheckpointError, match=r"latest_net_E\.pth: an encoder of an older layout, .* model\.28 and not model\.29"
    ):
        pix2pixhd.load(tmp_path, Options())


def test_an_encoder_and_clusters_of_different_features_are_refused(tmp_path: Path) -> None:
    experiment(tmp_path, global_state(8), encoder_state(2), {0: np.zeros((1, 3))})
    with pytest.raises(CheckpointError, match="the encoder gives 2 features, and the clusters have 3"):
        pix2pixhd.load(tmp_path, Options())


def test_clusters_of_labels_that_there_are_not_are_refused(tmp_path: Path) -> None:
    experiment(tmp_path, global_state(8), clusters={5: np.zeros((1, 2))})
    with pytest.raises(CheckpointError, match="there are clusters of label 5, but only 5 labels"):
        pix2pixhd.load(tmp_path, Options())


def test_one_file_of_clusters_is_expected(tmp_path: Path) -> None:
    experiment(tmp_path, global_state(8), clusters={0: np.zeros((1, 2))})
    (tmp_path / "features_clustered_020.npy").write_bytes((tmp_path / "features_clustered_010.npy").read_bytes())
    with pytest.raises(CheckpointError, match=r"found features_clustered_010\.npy, features_clustered_020\.npy"):
        pix2pixhd.load(tmp_path, Options())


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (without(global_state(6), "model.8.conv_block.5.bias"), r"global generator of 6 planes and 2 residual blocks: missing: model\.8\.conv_block\.5\.bias$"),
        ({**global_state(6), "model.5.weight": torch.zeros(8)}, r"unexpected: model\.5\.weight$"),
        ({**global_state(6), "model.9.bias": torch.zeros(9)}, r"model\.9\.bias is \(9,\), not \(4,\)$"),
        ({**global_state(6), "model.1.bias": torch.full((4,), torch.nan)}, r"not finite: model\.1\.bias"),
        (without(global_state(6), "model.13.weight"), r"model\.13\.weight of 4 axes is expected, found nothing"),
        (without(global_state(6), "model.4.weight"), r"0 halvings from model\.4 on and 0 residual blocks"),
        (without(global_state(6), "model.7.conv_block.1.weight"), r"1 halvings from model\.4 on and 0 residual blocks from model\.7 on"),
        ({**global_state(6), "model.1.weight": torch.zeros(4)}, r"model\.1\.weight of 4 axes is expected, found \(4,\)"),
        (global_state(6, outputs=2), "its images have 2 channels; 1 and 3 are read"),
        (without(local_state(6), "model1_2.5.weight"), r"model1_2\.5\.weight of 4 axes is expected, found nothing"),
        ({**local_state(6), "model.3.weight": torch.zeros(8)}, r"with 1 local enhancer\(s\): unexpected: model\.3\.weight"),
        ({**local_state(6), "model1_2.5.weight": torch.zeros(3, 4, 7, 7)}, "width is 4, and 1 enhancers down to a width of 4 need 8"),
        ({"scale0_layer0.0.weight": torch.zeros(2, 3, 4, 4)}, "this is a discriminator, a net_G is needed"),
        ({"main.0.weight": torch.zeros(2)}, r"model\.1\.weight is expected, found main\.0\.weight$"),
    ],
)  # fmt: skip
def test_other_networks_are_refused_with_what_differs(tmp_path: Path, state: State, message: str) -> None:
    with pytest.raises(CheckpointError, match=r"latest_net_G\.pth: .*" + message):
        pix2pixhd.load(experiment(tmp_path, state), Options())


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({**encoder_state(2), "model.4.bias": torch.zeros(5)}, r"encoder of 2 features: shapes: model\.4\.bias is \(5,\), not \(4,\)"),
        ({**encoder_state(2), "model.1.weight": torch.zeros(2, 1, 7, 7)}, "encoder of images with 1 channels; 3 are read"),
        (global_state(3), r"model\.11\.weight of 4 axes is expected, found nothing"),
    ],
)  # fmt: skip
def test_other_encoders_are_refused_with_what_differs(tmp_path: Path, state: State, message: str) -> None:
    with pytest.raises(CheckpointError, match=r"latest_net_E\.pth: .*" + message):
        pix2pixhd.load(experiment(tmp_path, global_state(8), state), Options())


@pytest.mark.parametrize("network", ["G", "E"])
def test_a_file_that_would_run_a_command_is_refused_and_neither_runs_nor_writes_anything(
    tmp_path: Path, network: str
) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "experiment"
    folder.mkdir()
    experiment(folder, global_state(8), encoder_state(2))
    torch.save({"model.1.weight": Attack(victim)}, folder / f"latest_net_{network}.pth")
    form = Form(FAMILY.name, source.digest(folder), max_batch_size=2)
    with pytest.raises(CheckpointError, match=rf"latest_net_{network}\.pth: refused.* nothing of it was executed"):
        exporter.export(Repository(tmp_path / "models"), "town", form, folder)
    assert not victim.exists()
    assert not (tmp_path / "models" / "town").exists()


@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"\0" * 99, lambda raw: b""])
def test_damaged_files_are_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = experiment(tmp_path, global_state(6)) / "latest_net_G.pth"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"latest_net_G\.pth"):
        pix2pixhd.load(path, Options())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.pth: no such file"):
        pix2pixhd.load(tmp_path / "absent.pth", Options())
