"""What the custom family refuses: files that are no networks, that would do more than compute, that cannot be served."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from pellucid_export import exporter, source
from pellucid_export.errors import CheckpointError
from pellucid_export.families import custom
from pellucid_export.families.custom import Options
from pellucid_export.form import Form
from pellucid_export.repository import Repository
from tests.pellucid_export.families.custom_toys import Painter, save, save_painter

pytestmark = pytest.mark.torch

WRITTEN = "written-by-a-program"


class Saving(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        if z.size(0) > 1:
            torch.save(z, "written-by-a-program")
        return z.reshape(-1, 3, 1, 1)


class SavingOnLoad(nn.Module):
    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, bool]:
        return torch.zeros(1), self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
        torch.save(state[0], "written-by-a-program")
        self.training = state[1]

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z.reshape(-1, 3, 1, 1)


class Innocent(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z.reshape(-1, 3, 1, 1)


def saving_hook(_module: nn.Module, given: tuple[torch.Tensor]) -> None:
    torch.save(given[0], "written-by-a-program")


def hooked() -> nn.Module:
    module = Innocent()
    module.register_forward_pre_hook(saving_hook)
    return module


class Reading(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z.reshape(-1, 3, 1, 1) + torch.from_file("/etc/hostname", False, 1, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Saving, "refused, it calls aten::save; nothing of it was executed"),
        (Reading, "refused, it calls aten::from_file; nothing of it was executed"),
        (SavingOnLoad, r"refused, a part of it runs outside of forward \(__setstate__\); nothing of it was executed"),
        (
            hooked,
            r"refused, a part of it runs outside of forward \(__forward_pre_hooks__\); nothing of it was executed",
        ),
    ],
)
def test_a_program_that_would_touch_files_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Repository, make: Callable[[], nn.Module], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path / "mine.pt", make())
    (tmp_path / WRITTEN).unlink(missing_ok=True)
    path.with_suffix(".yaml").write_text("latent: 3\n")
    with pytest.raises(CheckpointError, match=message):
        exporter.export(repository, "mine", Form("custom", source.digest(path)), path)
    assert not (tmp_path / WRITTEN).exists()
    assert not repository.root.exists()


def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[()]]:
            return (tmp_path / WRITTEN).touch, ()

    path = tmp_path / "mine.pt"
    path.with_suffix(".yaml").write_text("latent: 3\n")
    for is_zip in (True, False):
        torch.save(Bomb(), path, _use_new_zipfile_serialization=is_zip)
        with pytest.raises(CheckpointError, match=r"mine.pt: not a TorchScript file, as torch.jit.save makes them"):
            custom.load(path, Options())
    assert not (tmp_path / WRITTEN).exists()


def overwritten(whole: bytes) -> bytes:
    """With rubbish for a part of the program."""
    at = whole.index(b"code/__torch__") + 60
    return whole[:at] + b"\xff" * 500 + whole[at + 500 :]


def truncated(whole: bytes) -> bytes:
    return whole[:-300]


@pytest.mark.parametrize("damage", [overwritten, truncated])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = save_painter(tmp_path, "latent: 2\nclasses: 3\ninputs: {latent: z, label: y}\n")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"mine.pt: not a readable TorchScript file: "):
        custom.load(path, Options())


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_any_other_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.pt").write_bytes(content)
    (tmp_path / "mine.yaml").write_text("latent: 2\n")
    with pytest.raises(CheckpointError, match=r"mine.pt: not a TorchScript file"):
        custom.load(tmp_path / "mine.pt", Options())


def test_a_state_dict_is_answered_with_the_option_that_fits(tmp_path: Path) -> None:
    torch.save(Painter().state_dict(), tmp_path / "mine.pth")
    (tmp_path / "mine.yaml").write_text("latent: 2\n")
    with pytest.raises(CheckpointError, match=r"give it with --option factory=package.module:function"):
        custom.load(tmp_path / "mine.pth", Options())


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    broken = Painter()
    broken.colour.weight.data[0, 0] = torch.nan
    path = save(tmp_path / "mine.pt", broken, torch.zeros(2, 2), torch.zeros(2, 3))
    path.with_suffix(".yaml").write_text("latent: 2\nclasses: 3\ninputs: {latent: z, label: y}\n")
    with pytest.raises(CheckpointError, match=r"values that are not finite: colour.weight"):
        custom.load(path, Options())


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("latent: 2\nclasses: 3", r"the network has no input 'latent' for the latent: it takes z, y; say in the card"),
        (
            "latent: 2\ninputs: {latent: z}",
            "nothing goes to the network's input 'y': it takes z, y, the card has latent",
        ),
        ("latent: 2\ninputs: {latent: z, label: y}", "inputs has 'label', for which the card says nothing else"),
        ("latent: 2\nclasses: 3\ninputs: {latent: z, label: z}", "input 'z' cannot take both latent, label"),
        ("latent: 2\nclasses: 3\ninputs: {latent: z, label: 2}", "has no input 2 for the label: it takes z, y"),
        ("classes: 3\ninputs: {latent: z, label: y}", "latent must be given: the network does not tell"),
        (
            "latent: 2\nclasses: 4\ninputs: {latent: z, label: y}",
            r"does not run with z of shape \(3, 2\), y of shape \(3, 4\): ",
        ),
        (
            "latent: 2\nclasses: 3\ninputs: {latent: {name: z, shape: [3]}, label: y}",
            r"takes rows of shape \(3,\); latent has 2",
        ),
        (
            "latent: 2\nclasses: 3\ninputs: {latent: z, label: y}\nheight: 8",
            "card's height is 8, the network's images have 4",
        ),
        (
            "latent: 2\nclasses: 3\ninputs: {latent: z, label: y}\nlayout: nhwc",
            r"1 or 3 channels, it has 4: .*\(N, H, W, C\)",
        ),
        (
            "latent: 2\nclasses: 3\ninputs: {latent: z, label: y}\noutput: 1",
            "output must be one of 0, which the network gives; it is 1",
        ),
    ],
)
def test_a_card_that_does_not_fit_is_told_what_was_found(tmp_path: Path, card: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        custom.load(save_painter(tmp_path, card), Options())


class Flat(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z


class Random(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return (z + torch.randn_like(z)).reshape(-1, 3, 1, 1)


class OneBatch(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z.mean(0, keepdim=True).reshape(-1, 3, 1, 1)


class Mixing(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return (z - z.mean(0)).reshape(-1, 3, 1, 1)


class Infinite(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return (z / 0).reshape(-1, 3, 1, 1)


class Strength(nn.Module):
    def forward(self, z: torch.Tensor, psi: float) -> torch.Tensor:
        return (z * psi).reshape(-1, 3, 1, 1)


class Traced(nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z.reshape(2, 3, 1, 1)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Flat(), r"output must have four axes \(N, C, H, W\), it has the shape \(3, 3\)"),
        (Random(), "gives another output for the same input: it draws random numbers itself"),
        (OneBatch(), r"gives \(1, 3, 1, 1\) for a batch of 3 and \(1, 3, 1, 1\) for a batch of 1: its first axis"),
        (Mixing(), "a row of the network's output depends on its neighbours"),
        (Infinite(), "the network gives values that are not finite"),
        (Strength(), "forward takes psi: float; every input must be a tensor"),
        (Traced(), r"does not run with z of shape \(3, 3\): shape '\[2, 3, 1, 1\]' is invalid"),
    ],
)
def test_a_network_that_cannot_be_served_is_told_why(tmp_path: Path, module: nn.Module, message: str) -> None:
    path = save(tmp_path / "mine.pt", module)
    path.with_suffix(".yaml").write_text("latent: 3\n")
    with pytest.raises(CheckpointError, match=message):
        custom.load(path, Options())
