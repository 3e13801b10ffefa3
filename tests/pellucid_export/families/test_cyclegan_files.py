"""Files that are no CycleGAN's or pix2pix's, or only nearly."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pellucid_export import exporter, families, source
from pellucid_export.containers import checkpoints
from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError
from pellucid_export.families import cyclegan, pix2pix
from pellucid_export.form import Form
from pellucid_export.networks import resnet_generator, unet_generator
from pellucid_export.networks.resnet_generator import ResnetGenerator
from pellucid_export.networks.translator import Generator
from pellucid_export.networks.unet_generator import UnetGenerator
from pellucid_export.repository import Repository
from tests.pellucid_export.conftest import state_of, tutorial_dcgan
from tests.pellucid_export.families.test_cyclegan_golden import GOLDEN
from tests.pellucid_export.published.cyclegan import random_state

pytestmark = pytest.mark.torch

RESNET = resnet_generator.Layout(3, 3, 4, 1, "batch", has_dropout=False)
UNET = unet_generator.Layout(3, 3, 2, 5, "batch")
GENERATORS = [ResnetGenerator(RESNET), UnetGenerator(UNET)]
EACH = pytest.mark.parametrize("generator", GENERATORS, ids=["resnet", "unet"])
OFFICIAL = GOLDEN / "pix2pix" / "resnet9_batch_dropout_keys" / "latest_net_G.pth"


class Attack:
    """Unpickling it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.folder),)


def saved(path: Path, state: State) -> Path:
    torch.save(state, path)
    return path


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(CheckpointError) as caught:
        pix2pix.load(path, pix2pix.Options(**options))
    assert str(caught.value).startswith(path.name)
    return str(caught.value)


@EACH
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_what_wrappers_leave_in_the_names_is_no_difference(tmp_path: Path, generator: Generator, prefix: str) -> None:
    state = random_state(generator)
    plain = pix2pix.load(saved(tmp_path / "plain.pth", state), pix2pix.Options())
    wrapped = saved(tmp_path / "wrapped.pth", {f"{prefix}{name}": tensor for name, tensor in state.items()})
    assert pix2pix.load(wrapped, pix2pix.Options()).weights_digest == plain.weights_digest


@EACH
def test_half_precision_is_read_and_computed_in_single(tmp_path: Path, generator: Generator) -> None:
    halves = {n: t.half() if t.is_floating_point() else t for n, t in random_state(generator).items()}
    [stage] = pix2pix.load(saved(tmp_path / "half.pth", halves), pix2pix.Options()).stages
    assert isinstance(stage.module, torch.nn.Module)
    dtypes = {tensor.dtype for tensor in stage.module.state_dict().values()}
    assert dtypes == {torch.float32}


@EACH
def test_counts_of_batches_may_be_missing(tmp_path: Path, generator: Generator) -> None:
    state = {n: t for n, t in random_state(generator).items() if not n.endswith("num_batches_tracked")}
    assert len(state) < len(generator.state_dict())
    pix2pix.load(saved(tmp_path / "old.pth", state), pix2pix.Options(statistics="running"))


@EACH
def test_every_difference_from_the_network_that_the_shapes_tell_is_named(tmp_path: Path, generator: Generator) -> None:
    state = random_state(generator)
    norm = "model.2" if isinstance(generator, ResnetGenerator) else "model.model.1.model.2"
    state["extra"] = torch.zeros(1)
    state[f"{norm}.bias"] = torch.zeros(5)
    del state[f"{norm}.running_mean"]
    message = refusal(saved(tmp_path / "net.pth", state))
    assert f"do not fit a {generator}, norm batch" in message
    assert f"missing: {norm}.running_mean" in message
    assert "unexpected: extra" in message
    assert f"{norm}.bias is (5,), not" in message


@EACH
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, generator: Generator) -> None:
    state = random_state(generator)
    name = next(iter(state))
    state[name].view(-1)[0] = float("nan")
    assert f"not finite: {name}" in refusal(saved(tmp_path / "net.pth", state))


def test_other_networks_are_refused_by_what_they_lack(tmp_path: Path) -> None:
    dcgan = saved(tmp_path / "dcgan.pth", state_of(tutorial_dcgan(0)))
    assert "neither a ResNet generator (model.1.weight) nor a U-Net (model.model.0.weight): found main.0" in refusal(
        dcgan
    )
    for discriminator in ("cyclegan/resnet9_instance/latest_net_D_A.pth", "pix2pix/unet256_batch/latest_net_D.pth"):
        assert "this is a discriminator, a net_G is needed" in refusal(GOLDEN / discriminator)
    only_first = saved(tmp_path / "first.pth", {"model.1.weight": torch.zeros(4, 3, 7, 7)})
    assert "residual blocks from model.10 on are expected, found none" in refusal(only_first)
    shallow = {n: t for n, t in random_state(GENERATORS[1]).items() if ".model.3.model.3.model.3." not in n}
    assert "at least 5 nested levels are expected, found 4" in refusal(saved(tmp_path / "shallow.pth", shallow))


@pytest.mark.parametrize("channels", [(4, 3), (3, 2), (1, 4), (6, 3), (2, 1)])
@pytest.mark.parametrize("kind", ["resnet", "unet"])
def test_other_channels_than_grey_and_rgb_are_refused_by_number(
    tmp_path: Path, kind: str, channels: tuple[int, int]
) -> None:
    inputs, outputs = channels
    generator: Generator
    if kind == "resnet":
        generator = ResnetGenerator(resnet_generator.Layout(inputs, outputs, 4, 1, "none", has_dropout=False))
    else:
        generator = UnetGenerator(unet_generator.Layout(inputs, outputs, 2, 5, "none"))
    message = refusal(saved(tmp_path / "net.pth", random_state(generator)))
    assert f"{inputs} channels before and {outputs} after" in message


@pytest.mark.parametrize("family", ["cyclegan", "pix2pix"])
def test_damaged_files_are_errors(tmp_path: Path, family: str) -> None:
    content = OFFICIAL.read_bytes()
    names = content.index(b"model.1.weight")
    spoilt = content[:names] + bytes(8) + content[names + 8 :]
    damages = {"empty": b"", "cut": content[: len(content) // 2], "text": b"weights", "spoilt": spoilt}
    for name, damaged in damages.items():
        path = tmp_path / f"{name}.pth"
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=path.name):
            families.get(family).load(path, families.get(family).options())
    with pytest.raises(CheckpointError, match="no such file"):
        families.get(family).load(tmp_path / "missing.pth", families.get(family).options())


@pytest.mark.parametrize("family", ["cyclegan", "pix2pix"])
def test_a_file_that_would_run_something_runs_nothing_and_leaves_nothing(tmp_path: Path, family: str) -> None:
    path = tmp_path / "latest_net_G.pth"
    torch.save({"model.1.weight": Attack(tmp_path / "harm")}, path)
    repository = Repository(tmp_path / "models")
    with pytest.raises(CheckpointError, match=r"mkdir\); nothing of it was executed"):
        exporter.export(repository, "bad", Form(family, source.digest(path)), path)
    assert not (tmp_path / "harm").exists()
    assert not list((tmp_path / "models").glob("*"))


def test_a_pair_is_as_strict_as_its_files(tmp_path: Path) -> None:
    official = GOLDEN / "cyclegan" / "resnet9_instance"
    state = checkpoints.load_state(official / "latest_net_G_A.pth")
    saved(tmp_path / "latest_net_G_A.pth", state)
    with pytest.raises(
        CheckpointError, match=r"latest_net_G_B\.pth is missing \(generators found: latest_net_G_A\.pth\)"
    ):
        cyclegan.load(tmp_path, cyclegan.Options())
    del state["model.26.bias"]
    saved(tmp_path / "latest_net_G_B.pth", state)
    with pytest.raises(CheckpointError, match=r"latest_net_G_B\.pth: .* missing: model\.26\.bias"):
        cyclegan.load(tmp_path, cyclegan.Options())
