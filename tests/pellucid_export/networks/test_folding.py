import pytest
import torch
from torch import nn

from pellucid_export.networks.folding import fold_batch_norms
from tests.pellucid_export.conftest import LATENT, tutorial_dcgan

pytestmark = pytest.mark.torch


def test_folding_removes_the_norms_and_keeps_the_function_and_the_original() -> None:
    original = tutorial_dcgan(2)
    before = original[0].weight.clone()
    folded = fold_batch_norms(original)
    latent = torch.randn(4, LATENT, 1, 1)
    with torch.inference_mode():
        torch.testing.assert_close(folded(latent), original(latent), rtol=1e-5, atol=1e-5)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    assert torch.equal(original[0].weight, before)


def test_a_norm_that_computes_statistics_of_the_batch_is_left_alone() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)).train()
    assert isinstance(fold_batch_norms(module)[1], nn.BatchNorm2d)  # type: ignore[index]
