"""Graphs of images of any size, in multiples of 4."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pellucid.v1.model_pb2 import DETERMINISM_EXACT
from pellucid_export import determinism, onnx, parity, runtime, torchscript, triton
from pellucid_export.errors import ParityError
from pellucid_export.family import Length, Signature, Stage, Tensor
from pellucid_export.form import Form, Format

HEIGHT, WIDTH = Length("height", 4, 16), Length("width", 4, 24)


class Halves(nn.Module):
    """Halves and doubles an image, each sample with a strength of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 4, stride=4)
        self.up = nn.ConvTranspose2d(4, 3, 4, stride=4)

    def forward(self, source: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
        image = source.permute(0, 3, 1, 2).to(torch.float32) / 255
        result = self.up(self.down(image)) * strength[:, :, None, None]
        levels: torch.Tensor = (result.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
        return levels.permute(0, 2, 3, 1).contiguous()


def stage() -> Stage:
    torch.manual_seed(0)
    signature = Signature(
        inputs=(Tensor("source", "uint8", (HEIGHT, WIDTH, 3)), Tensor("strength", "float32", (1,), 0.0, 1.0)),
        outputs=(Tensor("image", "uint8", (HEIGHT, WIDTH, 3), 0.0, 255.0),),
    )
    return Stage("translator", Halves().eval(), signature)


@pytest.mark.parametrize(("file_format", "write"), [(Format.ONNX, onnx.write), (Format.TORCHSCRIPT, torchscript.write)])
def test_a_graph_takes_every_size_that_its_lengths_permit(tmp_path: Path, file_format: Format, write: object) -> None:
    form = Form("none", "", format=file_format, max_batch_size=3)
    one = stage()
    directory = tmp_path / "model" / "1"
    directory.mkdir(parents=True)
    triton.write(triton.configure("model", one.signature, form, {}), tmp_path / "model" / "config.pbtxt")
    write(one, directory / triton.MODEL_FILE[file_format])
    exported = runtime.open_model(directory)
    assert parity.compare(runtime.reference(one), exported, one.signature, "it", samples=2).max_error <= 1
    for size in ((4, 4), (40, 8), (16, 64)):
        inputs = {"source": np.full((2, *size, 3), 99, np.uint8), "strength": np.ones((2, 1), np.float32)}
        assert exported(inputs)["image"].shape == (2, *size, 3)
    assert determinism.measure(exported, one.signature, 3) == DETERMINISM_EXACT


def test_the_configuration_leaves_lengths_free_and_warms_up_with_examples() -> None:
    config = triton.configure("model", stage().signature, Form("none", "", max_batch_size=2), {})
    assert [list(tensor.dims) for tensor in config.input] == [[-1, -1, 3], [1]]
    assert {tuple(warmup.inputs["source"].dims) for warmup in config.model_warmup} == {(16, 24, 3)}
    assert triton.signature(config).inputs[0].example() == (16, 24, 3)


def test_a_graph_that_kept_the_length_it_was_traced_with_is_found_out() -> None:
    signature = stage().signature

    def grows(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"image": np.asarray(inputs["source"])}

    def keeps(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        image = np.asarray(inputs["source"]).copy()
        image[:, 16:] = 0
        return {"image": image}

    with pytest.raises(ParityError, match="'image' differs"):
        parity.compare(grows, keeps, signature, "it", samples=2)
