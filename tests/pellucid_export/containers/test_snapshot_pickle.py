"""stylegan2-ada-pytorch's snapshots, official ones and others, and what must not happen while they are read."""

import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pellucid_export.containers import snapshot_pickle
from pellucid_export.errors import CheckpointError
from tests.pellucid_export.published.stylegan2 import write_snapshot

pytestmark = pytest.mark.torch

OFFICIAL = Path(__file__).parents[2] / "golden" / "stylegan2" / "ada_64"
STATE = {
    "mapping.w_avg": torch.arange(3.0),
    "synthesis.b4.conv1.weight": torch.ones(2, 3),
    "synthesis.b4.conv1.noise_strength": torch.tensor(0.5),
}


class Call:
    """Unpickling it calls the function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


def assert_refused(path: Path, content: object, message: str) -> None:
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        snapshot_pickle.read(path)


def test_an_official_snapshot_holds_what_its_state_dict_holds() -> None:
    expected = torch.load(OFFICIAL / "G_ema_state_dict.pt", weights_only=True)
    found = snapshot_pickle.read(OFFICIAL / "network-snapshot-mini.pkl").state
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_settings_are_named_by_layer() -> None:
    settings = snapshot_pickle.read(OFFICIAL / "network-snapshot-mini.pkl").settings
    assert settings["img_resolution"] == 64
    assert settings["synthesis.b8.architecture"] == "skip"
    assert settings["synthesis.b8.conv0.conv_clamp"] == 256
    assert settings["mapping.fc0.bias_gain"] == 0.01


def test_a_snapshot_of_older_python_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.pkl"
    write_snapshot(path, {"G_ema": STATE})
    found = snapshot_pickle.read(path)
    assert {name: value.tolist() for name, value in found.state.items()} == {
        name: value.tolist() for name, value in STATE.items()
    }
    assert found.settings["synthesis.b4.conv1.conv_clamp"] == 256


def test_another_network_of_the_snapshot_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "two.pkl"
    write_snapshot(path, {"G": {"w": torch.zeros(2)}, "G_ema": STATE})
    assert list(snapshot_pickle.read(path, "G").state) == ["w"]


def test_the_source_in_a_snapshot_is_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "source.pkl", tmp_path / "trace"
    write_snapshot(path, {"G_ema": STATE}, source=f"import os\nos.mkdir({str(trace)!r})\n")
    assert str(trace).encode() in path.read_bytes()
    snapshot_pickle.read(path)
    assert not trace.exists()


def test_a_call_is_refused_by_name_and_not_made(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    attack = Call(os.system, f"mkdir {trace}")
    assert_refused(tmp_path / "evil.pkl", {"G_ema": attack}, r"evil\.pkl: refused, it calls posix\.system")
    assert not trace.exists()


def test_a_call_within_the_numbers_of_a_tensor_is_not_made(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    numbers = pickle.dumps(Call(os.system, f"mkdir {trace}"))
    hidden = Call(torch.storage._load_from_bytes, numbers)
    assert_refused(tmp_path / "evil.pkl", {"G_ema": hidden}, r"evil\.pkl: not a readable pickle")
    assert not trace.exists()


def test_a_tensor_may_not_reach_beyond_its_numbers(tmp_path: Path) -> None:
    storage = torch.zeros(4)._typed_storage()  # type: ignore[no-untyped-call]
    far = Call(torch._utils._rebuild_tensor_v2, storage, 0, (1000,), (1,), False, OrderedDict())
    assert_refused(tmp_path / "far.pkl", {"G_ema": far}, "out of bounds")


def test_modules_within_modules_have_an_end(tmp_path: Path) -> None:
    path = tmp_path / "deep.pkl"
    write_snapshot(path, {"G_ema": {".".join("a" * 30): torch.zeros(1)}})
    with pytest.raises(CheckpointError, match=r"deep\.pkl: modules are nested more than 16 deep"):
        snapshot_pickle.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"G": 1, "D": 2}, r"x\.pkl: no network 'G_ema'; found: G, D"),
        ([1, 2], "no network 'G_ema'; found: list"),
        ({"G_ema": {"w": 1}}, "no network 'G_ema'; found: G_ema"),
    ],
)
def test_a_pickle_without_the_network_is_refused(tmp_path: Path, content: object, message: str) -> None:
    assert_refused(tmp_path / "x.pkl", content, message)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_snapshot_is_refused(tmp_path: Path, share: float) -> None:
    whole = (OFFICIAL / "network-snapshot-mini.pkl").read_bytes()
    (tmp_path / "cut.pkl").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match=r"cut\.pkl: not a readable pickle"):
        snapshot_pickle.read(tmp_path / "cut.pkl")


def test_a_missing_snapshot_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pkl: No such file"):
        snapshot_pickle.read(tmp_path / "none.pkl")
