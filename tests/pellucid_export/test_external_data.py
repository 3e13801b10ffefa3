"""Files beside a graph: weights too large for it, and what a family adds for the gateway."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from pellucid.v1.model_pb2 import Asset
from pellucid_export import exporter, families, onnx, runtime, source
from pellucid_export.errors import GraphError
from pellucid_export.exporter import Exported
from pellucid_export.families import dcgan
from pellucid_export.family import Signature, Stage, Tensor
from pellucid_export.form import Form
from pellucid_export.repository import Repository
from pellucid_export.verify import verify
from tests.pellucid_export.conftest import LATENT, Exporting, official_images, tutorial_dcgan
from tests.pellucid_export.strangers.worded import WORDS

pytestmark = pytest.mark.torch

DATA = "model.onnx.data"
LATENTS = np.random.default_rng(2).standard_normal((3, LATENT), dtype=np.float32)


@pytest.fixture
def large(dcgan_file: Path, repository: Repository) -> Exported:
    """A model whose weights count as too large for its graph."""
    form = Form("dcgan", source.digest(dcgan_file), max_batch_size=4)
    write = partial(onnx.write, largest_graph_bytes=1000)
    return exporter.export(repository, "large", form, dcgan_file, write)


def test_a_graph_beyond_the_limit_has_its_weights_beside_it(dcgan_file: Path, tmp_path: Path) -> None:
    [stage] = dcgan.load(dcgan_file, dcgan.Options()).stages
    for name, limit in (("split", 1000), ("whole", onnx.LARGEST_GRAPH_BYTES)):
        (tmp_path / name).mkdir()
        onnx.write(stage, tmp_path / name / "model.onnx", largest_graph_bytes=limit)
    assert sorted(file.name for file in (tmp_path / "split").iterdir()) == ["model.onnx", DATA]
    assert [file.name for file in (tmp_path / "whole").iterdir()] == ["model.onnx"]
    sizes = [file.stat().st_size for file in (*sorted((tmp_path / "split").iterdir()), tmp_path / "whole/model.onnx")]
    assert sizes[0] < sizes[1] < sizes[2]
    split, whole = (runtime.open_model(tmp_path / name)({"latent": LATENTS})["image"] for name in ("split", "whole"))
    np.testing.assert_array_equal(split, whole)


def test_a_graph_with_weights_beside_it_moves_as_a_folder(large: Exported, tmp_path: Path) -> None:
    moved = shutil.copytree(large.directory, tmp_path / "elsewhere")
    images = runtime.open_model(moved)({"latent": LATENTS})["image"].astype(np.float32)
    assert np.abs(images - (official_images(tutorial_dcgan(0), LATENTS) + 1) * 127.5).max() <= 0.51


def test_weights_beside_the_graph_are_an_asset_of_the_version(large: Exported, repository: Repository) -> None:
    assert list(repository.version("large").assets) == [
        Asset(name=DATA, digest=source.file_digest(large.directory / DATA))
    ]
    assert [result.fault for result in verify(repository, "large")] == [""]


def test_changed_weights_beside_the_graph_fail_verification(
    large: Exported, repository: Repository, dcgan_file: Path
) -> None:
    content = bytearray((large.directory / DATA).read_bytes())
    content[100] ^= 1
    (large.directory / DATA).write_bytes(content)
    for checkpoint in (None, dcgan_file):
        [result] = verify(repository, "large", checkpoint=checkpoint)
        assert result.fault.startswith(f"{DATA} has sha256:")
    (large.directory / DATA).unlink()
    [result] = verify(repository, "large")
    assert DATA in result.fault


def scaling(rows: int) -> Stage:
    """An ONNX graph that multiplies its latent with a matrix."""
    matrix = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["latent", "matrix"], ["style"])],
        "scaling",
        [helper.make_tensor_value_info("latent", TensorProto.FLOAT, ["batch", rows])],
        [helper.make_tensor_value_info("style", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return Stage(
        "mapping", model, Signature((Tensor("latent", "float32", (rows,)),), (Tensor("style", "float32", (2,)),))
    )


def test_a_stage_that_is_a_graph_keeps_its_weights_when_they_are_written_beside_it(tmp_path: Path) -> None:
    stage = scaling(1000)
    onnx.write(stage, tmp_path / "model.onnx", largest_graph_bytes=1000)
    assert (tmp_path / DATA).stat().st_size >= 8000
    latent = np.zeros((1, 1000), np.float32)
    latent[0, 999] = 1
    for run in (runtime.open_model(tmp_path), runtime.reference(stage)):
        assert run({"latent": latent})["style"].tolist() == [[1998, 1999]]


def test_a_graph_that_refers_to_weights_it_has_not_is_refused(tmp_path: Path) -> None:
    stage = scaling(4)
    assert isinstance(stage.module, ModelProto)
    del stage.module.graph.initializer[:]
    with pytest.raises(GraphError, match="not valid"):
        onnx.write(stage, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def worded() -> Iterator[str]:
    """The name of a family with an asset, which comes from outside the package."""
    folder = str(Path(__file__).parent / "strangers")
    families.__path__.append(folder)
    yield "worded"
    families.__path__.remove(folder)


def test_a_familys_assets_are_written_listed_and_verified(
    dcgan_file: Path, export_dcgan: Exporting, repository: Repository, worded: str
) -> None:
    directory = export_dcgan(dcgan_file, name="birds", family=worded).directory
    asset = directory / "vocabulary.json"
    assert asset.read_bytes() == WORDS
    assert list(repository.version("birds").assets) == [Asset(name=asset.name, digest=source.file_digest(asset))]
    assert [result.fault for result in verify(repository, "birds", checkpoint=dcgan_file)] == [""]
    asset.write_bytes(WORDS.replace(b"1", b"3"))
    [result] = verify(repository, "birds")
    assert result.fault.startswith("vocabulary.json has sha256:")
