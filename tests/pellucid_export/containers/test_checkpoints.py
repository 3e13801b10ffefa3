import hashlib
import os
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from pellucid_export.containers import checkpoints
from pellucid_export.errors import CheckpointError

pytestmark = pytest.mark.torch

STATE = {"main.0.weight": torch.arange(6.0).reshape(2, 3), "main.0.bias": torch.ones(2)}


class Bomb:
    """Pickles as a call of `os.mkdir`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("wrapper", ["netG_state_dict", "netG", "generator", "state_dict"])
def test_a_state_dict_is_found_under_its_usual_names(tmp_path: Path, wrapper: str) -> None:
    path = saved(tmp_path / "x.pth", {wrapper: STATE, "epoch": 7})
    assert checkpoints.load_state(path).keys() == STATE.keys()


def test_a_bare_state_dict_of_a_parallel_module_loses_its_prefix(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pth", {f"module.{key}": value for key, value in STATE.items()})
    state = checkpoints.load_state(path)
    assert state["main.0.weight"].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_safetensors_give_the_same_digest_as_a_pytorch_file(tmp_path: Path) -> None:
    torch_file = saved(tmp_path / "x.pth", dict(reversed(STATE.items())))
    safetensors.torch.save_file(STATE, tmp_path / "x.safetensors")
    digests = {checkpoints.digest(checkpoints.load_state(path)) for path in (torch_file, tmp_path / "x.safetensors")}
    assert len(digests) == 1


def test_the_digest_covers_name_type_shape_and_bytes_in_the_order_of_names() -> None:
    expected = hashlib.sha256(
        b"11:main.0.bias float32 2\n" + STATE["main.0.bias"].numpy().tobytes()
        + b"13:main.0.weight float32 2x3\n" + STATE["main.0.weight"].numpy().tobytes()
    )  # fmt: skip
    assert checkpoints.digest(STATE) == f"sha256:{expected.hexdigest()}"


@pytest.mark.parametrize("nested", [False, True])
def test_a_pickle_that_would_run_code_is_refused_by_name_and_runs_nothing(tmp_path: Path, nested: bool) -> None:
    trace = tmp_path / "executed"
    bomb = Bomb(trace)
    path = saved(tmp_path / "x.pth", {"netG": {**STATE, "main.1.bias": bomb}} if nested else bomb)
    with pytest.raises(CheckpointError, match=r"x\.pth: refused, .*mkdir.*nothing of it was executed"):
        checkpoints.load_state(path)
    assert not trace.exists()


def test_a_plain_pickle_runs_nothing_either(tmp_path: Path) -> None:
    trace, path = tmp_path / "executed", tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(CheckpointError, match="nothing of it was executed"):
        checkpoints.load_state(path)
    assert not trace.exists()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04" + bytes(64)])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"^x\.{suffix}: "):
        checkpoints.load_state(path)


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pth", STATE)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match=r"x\.pth: not a readable PyTorch or safetensors file"):
        checkpoints.load_state(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.pth: no such file"):
        checkpoints.load_state(tmp_path / "absent.pth")


def test_a_checkpoint_without_tensors_lists_what_it_holds(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pth", {"epoch": 3, "loss": 0.5})
    with pytest.raises(CheckpointError, match=r"no state dict.*found: epoch, loss"):
        checkpoints.load_state(path)


def test_strict_loading_reports_missing_unexpected_and_differing_keys() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    state = {
        "0.weight": torch.zeros(2, 4),
        "0.bias": torch.zeros(2),
        "1.weight": torch.zeros(1, 2),
        "2.bias": torch.zeros(1),
    }
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load_strictly(module, state, "a perceptron")
    assert str(caught.value) == (
        "the weights do not fit a perceptron: missing: 1.bias; unexpected: 2.bias; shapes: 0.weight is (2, 4), not (2, 3)"
    )


def test_files_from_before_batch_counters_load() -> None:
    state = nn.BatchNorm2d(2).state_dict()
    del state["num_batches_tracked"]
    state["weight"] = torch.tensor([3.0, 4.0])
    module = nn.BatchNorm2d(2)
    checkpoints.load_strictly(module, state, "a norm")
    assert module.weight.tolist() == [3.0, 4.0]


def test_weights_of_a_diverged_training_are_refused() -> None:
    state = {"weight": torch.tensor([[1.0, float("nan")]]), "bias": torch.zeros(1)}
    with pytest.raises(CheckpointError, match="not finite: weight"):
        checkpoints.load_strictly(nn.Linear(2, 1), state, "a layer")
