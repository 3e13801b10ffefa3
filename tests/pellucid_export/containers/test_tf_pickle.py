import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pellucid_export.containers import tf_pickle
from pellucid_export.errors import CheckpointError
from tests.pellucid_export import tf_files

pytestmark = pytest.mark.torch

GOLDEN = Path(__file__).parents[2] / "golden"
PROGRESSIVE = GOLDEN / "pggan" / "tf_pickle_32" / "karras2018iclr-mini-32x32.pkl"
STYLE = GOLDEN / "stylegan1" / "tf_pickle_32" / "karras2019stylegan-mini-32x32.pkl"


class Attack:
    """Unpickling it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.folder),)


def test_the_averaged_generator_of_a_progressive_file_is_read() -> None:
    network = tf_pickle.read_generator(PROGRESSIVE)
    assert network.function == "G_paper"
    assert network.settings["resolution"] == 32
    assert network.components == {}
    assert len(network.variables) == 25
    assert network.variables["4x4/Dense/weight"].shape == (24, 384)
    assert network.variables["lod"] == 0
    assert {value.dtype for value in network.variables.values()} == {torch.float32}


def test_the_parts_of_a_style_based_file_have_their_own_variables() -> None:
    network = tf_pickle.read_generator(STYLE)
    assert sorted(network.variables) == ["dlatent_avg", "lod"]
    assert {name: part.function for name, part in network.components.items()} == {
        "mapping": "G_mapping",
        "synthesis": "G_synthesis",
    }
    assert len(network.components["mapping"].variables) == 16
    assert network.components["synthesis"].variables["noise7"].shape == (1, 1, 32, 32)


@pytest.mark.parametrize("module", [tf_files.PROGRESSIVE, tf_files.STYLE])
def test_the_last_network_counts_and_source_code_stays_text(tmp_path: Path, module: str) -> None:
    source = f"import os; os.mkdir({str(tmp_path / 'made')!r})"
    state = tf_files.network("G_style", {"w": torch.tensor([1.5, 2.5])}, {"label_size": 3}, source=source)
    network = tf_pickle.read_generator(tf_files.write(tmp_path / "network.pkl", module, state))
    assert network.variables["w"].tolist() == [1.5, 2.5]
    assert network.classes == 3
    assert [file.name for file in tmp_path.iterdir()] == ["network.pkl"]


def test_a_pickle_that_would_run_a_command_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(pickle.dumps((1, 2, Attack(tmp_path / "made"))))
    with pytest.raises(
        CheckpointError, match=r"network\.pkl: refused, it calls \w+\.mkdir; nothing of it was executed"
    ):
        tf_pickle.read_generator(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("length", [0, 1, 1000, 200_000])
def test_a_file_that_ends_early_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(PROGRESSIVE.read_bytes()[:length])
    with pytest.raises(CheckpointError, match=r"network\.pkl: not a readable pickle"):
        tf_pickle.read_generator(path)


@pytest.mark.parametrize("content", [[], (), (1, 2, 3), {"G_ema": 1}])
def test_other_content_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(CheckpointError, match=r"network\.pkl: not a tuple \(G, D, Gs\)"):
        tf_pickle.read_generator(path)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in tf_files.network("G", {}).items() if key != name}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([1], "a network has no state"),
        (without("variables"), "a network's variables is NoneType, not list"),
        (without("static_kwargs"), "a network's static_kwargs is NoneType, not Mapping"),
        ({**without(""), "build_func_name": 1}, "a network's build_func_name is int, not str"),
        ({**without(""), "variables": [("w", [1.0])]}, "pairs of a name and an array of real numbers"),
        ({**without(""), "variables": [("w", np.array(["a"]))]}, "pairs of a name and an array of real numbers"),
        ({**without(""), "variables": [("w", np.array([None]))]}, "pairs of a name and an array of real numbers"),
        ({**without(""), "variables": [1]}, "pairs of a name and an array of real numbers"),
    ],
)
def test_a_network_that_lacks_something_is_refused(tmp_path: Path, state: object, message: str) -> None:
    path = tf_files.write(tmp_path / "network.pkl", tf_files.STYLE, state)
    with pytest.raises(CheckpointError, match=rf"network\.pkl: .*{message}"):
        tf_pickle.read_generator(path)


def test_a_setting_is_its_default_or_one_of_those_that_can_be_exported() -> None:
    settings = {"fused_scale": True, "blur_filter": np.array([1, 2, 1]), "gain": np.float64(2.0)}
    network = tf_pickle.TfNetwork("G_synthesis", settings, {}, {})
    assert network.setting("nonlinearity", ("lrelu",)) == "lrelu"
    assert network.setting("fused_scale", ("auto", True, False)) is True
    assert network.setting("blur_filter", ([1, 2, 1],)) == [1, 2, 1]
    with pytest.raises(CheckpointError, match=r"G_synthesis was built with gain=2\.0; 1 can be exported"):
        network.setting("gain", (1,))
    with pytest.raises(CheckpointError, match="fused_scale=True; 'auto' or False can be exported"):
        network.setting("fused_scale", ("auto", False))


def test_a_number_of_classes_that_is_none_is_refused() -> None:
    network = tf_pickle.TfNetwork("G_paper", {"label_size": "many"}, {}, {})
    with pytest.raises(CheckpointError, match="label_size='many', which is no whole number"):
        _ = network.classes


def test_weights_are_rearranged_to_torchs_order() -> None:
    assert tf_pickle.weight(torch.zeros(3, 5, 7, 9)).shape == (9, 7, 3, 5)
    assert tf_pickle.weight(torch.tensor([[1.0, 2.0]])).tolist() == [[1.0], [2.0]]
    assert tf_pickle.weight(torch.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
