import pytest
import torch
from torch import nn
from torch.nn.utils import spectral_norm as torchs

from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError
from pellucid_export.networks import spectral_norm

pytestmark = pytest.mark.torch


@pytest.fixture
def weight() -> torch.Tensor:
    return torch.randn(6, 3, 2, 2, generator=torch.Generator().manual_seed(1))


def test_torchs_norm_is_folded_as_evaluation_applies_it_even_where_it_has_not_converged() -> None:
    layer = torchs(nn.Conv2d(3, 5, 3))
    layer.weight_u.copy_(nn.functional.normalize(torch.arange(5.0), dim=0))
    layer.eval()(torch.zeros(1, 3, 4, 4))
    folded = spectral_norm.fold({f"conv.{name}": value for name, value in layer.state_dict().items()})
    assert sorted(folded) == ["conv.bias", "conv.weight"]
    torch.testing.assert_close(folded["conv.weight"], layer.weight.data)
    true = layer.weight_orig / torch.linalg.matrix_norm(layer.weight_orig.flatten(1), 2)
    assert not torch.allclose(folded["conv.weight"], true, rtol=0.05)


def test_a_plain_weight_beside_torchs_parts_is_not_read(weight: torch.Tensor) -> None:
    left, right = torch.ones(6), torch.ones(12)
    state = {"a.weight_orig": weight, "a.weight_u": left, "a.weight_v": right, "a.weight": torch.zeros(6, 3, 2, 2)}
    folded = spectral_norm.fold(state)
    torch.testing.assert_close(folded["a.weight"], weight / weight.sum())


def test_biggan_pytorchs_norm_is_one_power_iteration_from_u0_whatever_sv0_says(weight: torch.Tensor) -> None:
    start = torch.arange(6.0)[None]
    folded = spectral_norm.fold({"a.weight": weight, "a.u0": start, "a.sv0": torch.tensor([99.0])})
    matrix = weight.flatten(1).double()
    right = start[0].double() @ matrix
    right /= right.norm()
    left = matrix @ right
    left /= left.norm()
    assert list(folded) == ["a.weight"]
    torch.testing.assert_close(folded["a.weight"], (weight / (left @ matrix @ right)).float())


def test_weights_without_a_norm_stay_as_they_are(weight: torch.Tensor) -> None:
    state = {"a.weight": weight, "a.bias": torch.ones(6), "gamma": torch.ones(())}
    folded = spectral_norm.fold(state)
    assert folded.keys() == state.keys()
    assert all(folded[name] is state[name] for name in state)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            {"a.weight_orig": torch.ones(2, 3), "a.weight_v": torch.ones(3)},
            "a weight with a spectral norm lacks a.weight_u",
        ),
        ({"a.weight_u": torch.ones(2), "a.weight": torch.ones(2, 3)}, "lacks a.weight_orig"),
        ({"a.u0": torch.ones(1, 2)}, "lacks a.weight"),
        ({"a.sv0": torch.ones(1), "a.weight": torch.ones(2, 3)}, "lacks a.u0"),
        (
            {"a.u0": torch.ones(1, 3), "a.weight": torch.ones(2, 3)},
            "a.u0 has 3 numbers, the weight beside it asks for 2",
        ),
        (
            {"a.weight_orig": torch.ones(2, 3), "a.weight_u": torch.ones(2), "a.weight_v": torch.ones(2)},
            "a.weight_v has 2 numbers, the weight beside it asks for 3",
        ),
        (
            {"a.u0": torch.ones(1, 2), "a.weight": torch.ones(2)},
            r"the weight of a is \(2,\), which has no spectral norm",
        ),
    ],
)
def test_what_does_not_belong_together_is_named(state: State, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        spectral_norm.fold(state)
