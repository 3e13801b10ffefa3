"""Files that are no StyleGAN 2's, or only nearly."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pellucid_export import exporter, source
from pellucid_export.containers import checkpoints
from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.families.stylegan2 import FAMILY, Options
from pellucid_export.form import Form
from pellucid_export.repository import Repository
from tests.pellucid_export.families.test_stylegan2_golden import GOLDEN
from tests.pellucid_export.published.stylegan2 import write_snapshot

pytestmark = pytest.mark.torch

STATE_DICT = GOLDEN / "ada_cond_32" / "G_ema_state_dict.pt"
GENFORCE = GOLDEN / "genforce_16" / "stylegan2_mini16.pth"


class Attack:
    """Unpickling it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.folder),)


def without(state: State, name: str) -> State:
    return {key: value for key, value in state.items() if key != name}


def assert_refused(path: Path, state: object, message: str) -> None:
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=message):
        FAMILY.load(path, Options())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: without(s, "synthesis.b8.conv0.bias"), r"StyleGAN 2 of 32 x 32 pixels: missing: synthesis\.b8\.conv0\.bias$"),
        (lambda s: {**s, "synthesis.b8.skip.weight": torch.zeros(1)}, r"unexpected: synthesis\.b8\.skip\.weight$"),
        (lambda s: {**s, "synthesis.b4.const": torch.zeros(24, 4, 5)}, r"b4\.const is \(24, 4, 5\), not \(24, 4, 4\)$"),
        (lambda s: {**s, "mapping.fc1.bias": torch.full((16,), torch.nan)}, r"not finite: mapping\.fc1\.bias"),
        (lambda s: without(s, "mapping.w_avg"), r"a tensor truncation\.w_avg of 1 axes is expected"),
        (lambda s: without(s, "synthesis.b8.conv1.weight"), r"resolutions 4, 8, .* found \[4, 16, 32\]"),
        (lambda s: {**s, "mapping.fc0.weight": torch.zeros(16, 16)}, "latents of 0 numbers"),
        (lambda s: {**s, "synthesis.b4.torgb.weight": torch.zeros(4, 24, 1, 1)}, "images of 4 channels"),
        (lambda s: {**s, "synthesis.b16.conv1.weight": torch.zeros(0, 24, 3, 3)}, r"b16\.conv1\.weight is \(0, 24, 3, 3\)"),
        (
            lambda s: {**s, "synthesis.b8.resample_filter": torch.ones(4, 4) / 16},
            r"b8\.resample_filter is not the filter \[1, 3, 3, 1\]",
        ),
    ],
)  # fmt: skip
def test_what_differs_is_named(tmp_path: Path, change: Callable[[State], State], message: str) -> None:
    assert_refused(tmp_path / "x.pt", change(checkpoints.load_state(STATE_DICT)), message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {**s, "mapping.label_weight": torch.zeros(4, 8)}, r"unexpected: mapping\.label_weight"),
        (lambda s: {**s, "synthesis.layer7.weight": torch.zeros(1)}, r"unexpected: synthesis\.b64\.conv0\.weight"),
        (lambda s: {**s, "synthesis.upsample.kernel": torch.ones(1, 1, 2, 2)}, r"upsample\.kernel is not the filter"),
        (lambda s: {**s, "synthesis.early_layer.const": torch.zeros(3)}, r"b4\.const is \(3,\)"),
        (lambda s: {**s, "synthesis.layer1.noise": torch.zeros(2, 1, 8, 8)}, r"noise_const is \(2, 1, 8, 8\)"),
    ],
)
def test_what_differs_in_genforces_files_is_named(
    tmp_path: Path, change: Callable[[State], State], message: str
) -> None:
    state = checkpoints.load_state(GENFORCE, ("generator_smooth",))
    assert_refused(tmp_path / "x.pth", {"generator_smooth": change(state)}, message)


@pytest.mark.parametrize(
    "state",
    [
        {"main.0.weight": torch.zeros(4, 4, 4, 4)},
        {"g_ema": {"style.1.weight": torch.zeros(512, 512)}, "state_dict": {"style.1.weight": torch.zeros(2, 2)}},
        {"synthesis.layer0.const": torch.zeros(1, 8, 4, 4), "truncation.w_avg": torch.zeros(8)},
    ],
)
def test_another_network_is_refused_with_its_keys(tmp_path: Path, state: object) -> None:
    assert_refused(tmp_path / "x.pt", state, r"not a StyleGAN 2 of .*found none among the keys \w+")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "resnet"}, r"architecture is 'resnet'; only 'skip' can be exported"),
        ({"activation": "relu"}, r"activation is 'relu'; only 'l\w+' can be exported"),
        ({"bias_gain": 0.1}, r"mapping\.fc0\.bias_gain is 0\.1; only 0\.01 can be exported"),
        ({"conv_clamp": -1}, "conv_clamp"),
    ],
)
def test_a_snapshot_that_was_built_in_another_way_is_refused(
    tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    write_snapshot(tmp_path / "x.pkl", {"G_ema": checkpoints.load_state(STATE_DICT)}, "", **settings)
    with pytest.raises(CheckpointError, match=message):
        FAMILY.load(tmp_path / "x.pkl", Options())


@pytest.mark.parametrize("bound", [-1.0, float("inf"), float("nan")])
def test_the_option_for_the_bound_must_be_one(bound: float) -> None:
    with pytest.raises(FamilyError, match=f"conv_clamp is {bound:g}; 0 .none. or a finite bound"):
        FAMILY.load(STATE_DICT, Options(conv_clamp=bound))


@pytest.mark.parametrize("name", ["x.pkl", "x.pt", "x.pth"])
def test_broken_and_malicious_files_leave_no_trace(tmp_path: Path, name: str) -> None:
    path, trace = tmp_path / name, tmp_path / "trace"
    repository = Repository(tmp_path / "models")
    whole = (GOLDEN / "ada_64" / "network-snapshot-mini.pkl" if name == "x.pkl" else GENFORCE).read_bytes()
    middle = len(whole) // 2
    for content in (
        pickle.dumps({"G_ema": Attack(trace)}, protocol=2),
        whole[:middle],
        b"\0" * 100 + whole[100:],
        b"",
    ):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"^{name}: "):
            exporter.export(repository, "model", Form("stylegan2", source.digest(path)), path)
    assert not trace.exists()
    assert not (tmp_path / "models" / "model").exists()
