from pathlib import Path

import pytest
import torch
from torch.nn import functional

from pellucid_export.containers import genforce
from pellucid_export.errors import CheckpointError

pytestmark = pytest.mark.torch


def test_the_averaged_generator_of_a_training_is_read_without_prefixes(tmp_path: Path) -> None:
    models = {
        name: {"module.lod": torch.tensor(value)} for name, value in (("generator", 1.0), ("generator_smooth", 2.0))
    }
    torch.save({"models": models, "optimizers": {}, "learning_rates": {}}, tmp_path / "training.pth")
    assert genforce.read(tmp_path / "training.pth") == {"lod": torch.tensor(2.0)}


def test_interfacegans_names_become_genforces() -> None:
    names = {
        "mapping.dense3.linear.weight": "mapping.dense3.weight",
        "mapping.dense3.wscale.bias": "mapping.dense3.bias",
        "truncation.w_avg": "truncation.w_avg",
        "synthesis.layer0.first_layer": "synthesis.layer0.const",
        "synthesis.layer4.conv.weight": "synthesis.layer4.weight",
        "synthesis.layer4.epilogue.bias": "synthesis.layer4.bias",
        "synthesis.layer4.epilogue.apply_noise.noise": "synthesis.layer4.apply_noise.noise",
        "synthesis.layer4.epilogue.style_mod.dense.linear.weight": "synthesis.layer4.style.weight",
        "synthesis.layer4.epilogue.style_mod.dense.wscale.bias": "synthesis.layer4.style.bias",
        "synthesis.layer4.blur.kernel": "synthesis.layer4.blur.kernel",
        "synthesis.output2.bias": "synthesis.output2.bias",
        "layer4.conv.weight": "layer4.weight",
        "output2.wscale.bias": "output2.bias",
        "lod": "lod",
    }
    state = {name: torch.tensor(float(index)) for index, name in enumerate(names)}
    assert genforce.is_interfacegan(state)
    assert not genforce.is_interfacegan(dict.fromkeys(names.values(), torch.zeros(())))
    found = genforce.from_interfacegan(state)
    assert found == {new: state[old] for old, new in names.items()}


@pytest.mark.parametrize("name", ["layer2.weight", "synthesis.layer10.weight"])
def test_interfacegans_fused_kernels_do_the_same_unfused(name: str) -> None:
    torch.manual_seed(0)
    fused, x = torch.randn(3, 3, 2, 5), torch.randn(1, 2, 4, 4)
    state = genforce.from_interfacegan({name: fused, "layer0.wscale.bias": torch.zeros(5)})
    padded = functional.pad(fused.permute(2, 3, 0, 1), (1, 1, 1, 1))
    kernel = padded[..., 1:, 1:] + padded[..., :-1, 1:] + padded[..., 1:, :-1] + padded[..., :-1, :-1]
    expected = functional.conv_transpose2d(x, kernel, stride=2, padding=1)
    doubled = functional.interpolate(x, scale_factor=2.0)
    torch.testing.assert_close(functional.conv2d(doubled, state[name], padding=1), expected)


def test_a_tensor_that_is_missing_or_of_other_axes_is_named_with_what_there_is() -> None:
    state = {"fc.weight": torch.zeros(2, 3)}
    assert genforce.shape(state, "fc.weight", 2, "pg-GAN") == (2, 3)
    with pytest.raises(
        CheckpointError, match=r"not a pg-GAN: a tensor lod of 0 axes is expected; found are fc\.weight"
    ):
        genforce.shape(state, "lod", 0, "pg-GAN")
    with pytest.raises(CheckpointError, match=r"fc\.weight of 4 axes is expected; it is \(2, 3\)"):
        genforce.shape(state, "fc.weight", 4, "pg-GAN")


def test_resolutions_are_counted_by_their_outputs_up_to_2048_pixels() -> None:
    weight = torch.zeros(3, 1, 1, 1)
    outputs = {f"synthesis.output{block}.weight": weight for block in range(10)}
    assert genforce.blocks(outputs, "synthesis.", "StyleGAN") == 10
    with pytest.raises(CheckpointError, match="not a StyleGAN: it has 11 outputs, at most 10 are expected"):
        genforce.blocks({**outputs, "synthesis.output10.weight": weight}, "synthesis.", "StyleGAN")
    with pytest.raises(CheckpointError, match=r"not a pg-GAN: a tensor output0\.weight of 4 axes is expected"):
        genforce.blocks(outputs, "", "pg-GAN")
