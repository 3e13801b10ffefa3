import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from onnx import TensorProto, helper
from tritonclient.grpc import model_config_pb2

from pellucid.v1.latent_pb2 import SPACE_Z
from pellucid.v1.model_pb2 import DETERMINISM_EXACT, PRIOR_NORMAL, TASK_GENERATE, LatentPrior, LatentSpace, Model
from pellucid.v1.model_pb2 import Stage as StageCard
from pellucid_export import families, onnx, runtime, source, torchscript, triton
from pellucid_export.errors import CheckpointError, GraphError, SignatureError
from pellucid_export.family import Signature, Stage, Tensor
from pellucid_export.form import About, Accelerator, Form, Format
from pellucid_export.repository import Repository
from pellucid_export.verify import verify
from tests.pellucid_export.conftest import LATENT, SIZE, Exporting, official_images, state_of, tutorial_dcgan

pytestmark = pytest.mark.torch

FORMATS = list(Format)


def saved(path: Path, seed: int) -> Path:
    torch.save(state_of(tutorial_dcgan(seed)), path)
    return path


def files(repository: Repository) -> set[str]:
    return {path.relative_to(repository.root).as_posix() for path in repository.root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("pixels", ["uint8", "float32"])
def test_the_published_file_gives_the_official_output_alone_and_in_a_batch(
    dcgan_file: Path, export_dcgan: Exporting, file_format: Format, pixels: str
) -> None:
    exported = export_dcgan(dcgan_file, format=file_format, options={"pixels": pixels})
    run = runtime.open_model(exported.directory)
    latent = np.random.default_rng(8).standard_normal((7, LATENT), dtype=np.float32)
    images = run({"latent": latent})["image"].astype(np.float32)
    official = official_images(tutorial_dcgan(0), latent)
    if pixels == "uint8":
        assert np.abs(images - (official + 1) * 127.5).max() <= 0.51
    else:
        np.testing.assert_allclose(images, official, atol=1e-5)
    alone = np.concatenate([run({"latent": latent[row : row + 1]})["image"] for row in range(7)])
    np.testing.assert_allclose(alone.astype(np.float32), images, atol=1e-5)


@pytest.mark.parametrize("file_format", FORMATS)
def test_version_json_says_what_was_measured(
    dcgan_file: Path, export_dcgan: Exporting, repository: Repository, file_format: Format
) -> None:
    exported = export_dcgan(dcgan_file, format=file_format)
    version = repository.version("tiny")
    assert version == exported.version
    assert version.name == "1"
    assert version.weights_digest.startswith("sha256:")
    assert version.file_digest == source.digest(exported.directory / triton.MODEL_FILE[file_format])
    assert version.determinism == DETERMINISM_EXACT
    assert (version.parity.max_error <= 1, version.parity.tolerance, version.parity.samples) == (True, 1, 32)
    runtimes = {Format.ONNX: "onnxruntime", Format.TORCHSCRIPT: "torch"}
    assert version.parity.runtime.startswith(f"{runtimes[file_format]} ")
    assert version.create_time.seconds > 0
    assert files(repository) == {
        "tiny/config.pbtxt",
        "tiny/1/version.json",
        f"tiny/1/{triton.MODEL_FILE[file_format]}",
    }


def test_the_card_comes_back_from_the_text_of_the_configuration(
    dcgan_file: Path, export_dcgan: Exporting, repository: Repository
) -> None:
    export_dcgan(dcgan_file, about=About("Tiny", 'Says "hello", in ünïcode.', "MIT", "a test"))
    text = (repository.root / "tiny" / "config.pbtxt").read_text(encoding="utf-8")
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert config.parameters["pellucid.card"].string_value
    assert repository.card("tiny") == Model(
        name="models/tiny",
        display_name="Tiny",
        description='Says "hello", in ünïcode.',
        family="dcgan",
        task=TASK_GENERATE,
        height=SIZE,
        width=SIZE,
        latent=LatentPrior(size=LATENT, prior=PRIOR_NORMAL),
        spaces=[LatentSpace(space=SPACE_Z, size=LATENT, layers=1)],
        stages=[StageCard(role="synthesis", model="tiny", inputs=["latent"], outputs=["image"])],
        license="MIT",
        source="a test",
        max_batch_size=4,
    )


def test_no_path_of_this_machine_is_written(dcgan_file: Path, export_dcgan: Exporting, repository: Repository) -> None:
    export_dcgan(dcgan_file)
    for path in ("tiny/config.pbtxt", "tiny/1/version.json", "tiny/1/model.onnx"):
        content = (repository.root / path).read_bytes()
        assert str(dcgan_file.parent).encode() not in content
        assert b"site-packages" not in content
        assert b"conftest" not in content


def test_the_same_weights_again_publish_nothing(
    dcgan_file: Path, export_dcgan: Exporting, repository: Repository
) -> None:
    first = export_dcgan(dcgan_file)
    again = export_dcgan(dcgan_file)
    assert (first.is_new, again.is_new) == (True, False)
    assert again.version == first.version
    assert repository.versions("tiny") == [1]


def test_the_same_weights_in_another_configuration_renew_it_and_keep_the_version(
    dcgan_file: Path, export_dcgan: Exporting, repository: Repository
) -> None:
    export_dcgan(dcgan_file)
    form = Form("dcgan", source.digest(dcgan_file), max_batch_size=4)
    assert repository.is_current("tiny", form)
    assert not export_dcgan(dcgan_file, accelerator=Accelerator.CUDA).is_new
    assert not repository.is_current("tiny", form)
    assert repository.form("tiny").accelerator is Accelerator.CUDA
    assert repository.versions("tiny") == [1]


def test_a_larger_batch_than_was_measured_makes_another_version(
    dcgan_file: Path, export_dcgan: Exporting, repository: Repository
) -> None:
    export_dcgan(dcgan_file)
    larger = export_dcgan(dcgan_file, max_batch_size=8)
    assert (larger.is_new, larger.version.name) == (True, "2")
    assert not export_dcgan(dcgan_file, max_batch_size=2).is_new


def test_a_model_whose_version_was_deleted_is_made_again(
    dcgan_file: Path, export_dcgan: Exporting, repository: Repository
) -> None:
    shutil.rmtree(export_dcgan(dcgan_file).directory)
    assert not repository.is_current("tiny", Form("dcgan", source.digest(dcgan_file), max_batch_size=4))
    assert export_dcgan(dcgan_file).is_new


def test_other_weights_become_the_next_version_and_leave_the_first_alone(
    tmp_path: Path, dcgan_file: Path, export_dcgan: Exporting, repository: Repository
) -> None:
    first = export_dcgan(dcgan_file)
    before = {path: path.read_bytes() for path in first.directory.iterdir()}
    second = export_dcgan(saved(tmp_path / "second.pth", 1))
    assert (second.version.name, second.directory) == ("2", repository.root / "tiny" / "2")
    assert {path: path.read_bytes() for path in first.directory.iterdir()} == before
    assert repository.version("tiny").weights_digest != first.version.weights_digest
    assert export_dcgan(dcgan_file).version.name == "3"
    assert not (repository.root / ".partial").exists()


@pytest.mark.parametrize(
    ("form", "part"),
    [({"options": {"pixels": "float32"}}, "output"), ({"format": Format.TORCHSCRIPT}, "backend")],
)
def test_a_changed_signature_is_refused_and_changes_nothing(
    tmp_path: Path,
    dcgan_file: Path,
    export_dcgan: Exporting,
    repository: Repository,
    form: dict[str, object],
    part: str,
) -> None:
    export_dcgan(dcgan_file)
    before = (repository.root / "tiny" / "config.pbtxt").read_bytes()
    with pytest.raises(SignatureError, match=f"another {part}.*a different signature is a new model"):
        export_dcgan(saved(tmp_path / "second.pth", 1), **form)
    assert files(repository) == {"tiny/config.pbtxt", "tiny/1/version.json", "tiny/1/model.onnx"}
    assert (repository.root / "tiny" / "config.pbtxt").read_bytes() == before


@pytest.mark.parametrize("damage", ["truncated", "text", "wrong family"])
def test_a_bad_checkpoint_writes_nothing(
    tmp_path: Path, dcgan_file: Path, export_dcgan: Exporting, repository: Repository, damage: str
) -> None:
    path = tmp_path / "bad.pth"
    if damage == "wrong family":
        torch.save({"conv.weight": torch.zeros(3, 3, 3, 3)}, path)
    else:
        path.write_bytes(dcgan_file.read_bytes()[:-500] if damage == "truncated" else b"hello")
    with pytest.raises(CheckpointError):
        export_dcgan(path)
    assert not repository.root.exists()


def test_tensorrt_with_torchscript_is_refused_and_writes_nothing(
    dcgan_file: Path, export_dcgan: Exporting, repository: Repository
) -> None:
    with pytest.raises(GraphError, match="tensorrt needs format onnx"):
        export_dcgan(dcgan_file, format=Format.TORCHSCRIPT, accelerator=Accelerator.TENSORRT)
    assert not repository.root.exists()


def doubling_graph(batch: int | str) -> Stage:
    """An ONNX graph that doubles its latent."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["latent", "latent"], ["style"])],
        "doubling",
        [helper.make_tensor_value_info("latent", TensorProto.FLOAT, [batch, 2])],
        [helper.make_tensor_value_info("style", TensorProto.FLOAT, [batch, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    tensors = (Tensor("latent", "float32", (2,)),), (Tensor("style", "float32", (2,)),)
    return Stage("mapping", model, Signature(*tensors))


def test_a_stage_that_is_an_onnx_graph_is_written_as_it_is(tmp_path: Path) -> None:
    onnx.write(doubling_graph("batch"), tmp_path / "model.onnx")
    styles = runtime.open_model(tmp_path)({"latent": np.array([[1.5, -2]], np.float32)})["style"]
    assert styles.tolist() == [[3.0, -4.0]]


def test_an_onnx_graph_with_a_fixed_batch_or_other_names_or_for_torchscript_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="tensor 'latent' of stage 'mapping' has a fixed batch size"):
        onnx.write(doubling_graph(1), tmp_path / "model.onnx")
    stage = doubling_graph("batch")
    renamed = Stage("mapping", stage.module, Signature((Tensor("z", "float32", (2,)),), stage.signature.outputs))
    with pytest.raises(GraphError, match="its signature says"):
        onnx.write(renamed, tmp_path / "model.onnx")
    with pytest.raises(GraphError, match="cannot become TorchScript"):
        torchscript.write(stage, tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def two_stages() -> Iterator[str]:
    """The name of a family of two stages, which comes from outside the package."""
    folder = str(Path(__file__).parent / "strangers")
    families.__path__.append(folder)
    yield "two_stages"
    families.__path__.remove(folder)


@pytest.mark.parametrize("file_format", FORMATS)
def test_stages_become_triton_models_of_one_version_and_the_last_bears_name_and_card(
    dcgan_file: Path, export_dcgan: Exporting, repository: Repository, two_stages: str, file_format: Format
) -> None:
    export_dcgan(dcgan_file, name="pair", family=two_stages, format=file_format)
    graph = triton.MODEL_FILE[file_format]
    assert files(repository) == {
        f"{model}/{file}"
        for model in ("pair", "pair.mapping")
        for file in ("config.pbtxt", "1/version.json", f"1/{graph}")
    }
    assert repository.names() == ["pair"]
    assert list(repository.card("pair").stages) == [
        StageCard(role="mapping", model="pair.mapping", inputs=["latent"], outputs=["style"]),
        StageCard(role="synthesis", model="pair", inputs=["style", "offset"], outputs=["image"]),
    ]
    mapping = runtime.open_model(repository.directory("pair.mapping"))
    synthesis = runtime.open_model(repository.directory("pair"))
    styles = mapping({"latent": np.array([[1, 2], [5, 10]], np.float32)})
    images = synthesis({**styles, "offset": np.array([[100], [7]], np.float32)})["image"]
    assert images.reshape(2, 3).tolist() == [[106, 106, 106], [37, 37, 37]]
    assert [result.fault for result in verify(repository, "pair", checkpoint=dcgan_file)] == ["", ""]
    assert [result.model for result in verify(repository, "pair")] == ["pair.mapping", "pair"]


def test_a_stage_left_by_an_interrupted_publication_is_not_in_the_way(
    dcgan_file: Path, export_dcgan: Exporting, repository: Repository, two_stages: str
) -> None:
    export_dcgan(dcgan_file, name="pair", family=two_stages)
    shutil.rmtree(repository.root / "pair")
    assert export_dcgan(dcgan_file, name="pair", family=two_stages).version.name == "2"
    assert (repository.versions("pair"), repository.versions("pair.mapping")) == ([2], [1, 2])


def test_other_options_make_another_version_of_the_same_weights(
    dcgan_file: Path, export_dcgan: Exporting, repository: Repository, two_stages: str
) -> None:
    export_dcgan(dcgan_file, name="pair", family=two_stages)
    assert not export_dcgan(dcgan_file, name="pair", family=two_stages, options={"gain": "2"}).is_new
    second = export_dcgan(dcgan_file, name="pair", family=two_stages, options={"gain": "5"})
    assert (second.is_new, second.version.name) == (True, "2")
    mapping = runtime.open_model(repository.directory("pair.mapping"))
    assert mapping({"latent": np.array([[1, 2]], np.float32)})["style"].tolist() == [[5, 10]]
