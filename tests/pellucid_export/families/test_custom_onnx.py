"""A generator from an ONNX file and a card."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import parser

from pellucid.v1.model_pb2 import DETERMINISM_EXACT
from pellucid_export import exporter, runtime, source
from pellucid_export.errors import CheckpointError, GraphError
from pellucid_export.families import custom
from pellucid_export.families.custom import Options
from pellucid_export.form import Form, Format
from pellucid_export.repository import Repository
from pellucid_export.verify import verify
from tests.pellucid_export.families.custom_toys import LATENTS, ONE_HOT, Painter, generate, levels, painted

pytestmark = pytest.mark.torch

CARD = "classes: [red, green, blue]\ninputs: {latent: z, label: y}\n"
LABELS = np.array([[1, 0, 0], [0, 0.5, 0.5], [0, 0, 1], [0.2, 0.3, 0.5]], np.float32)

PLAIN = """
<ir_version: 10, opset_import: ["" : 20]>
plain (float[n, 3] z) => (float[n, 3, 1, 1] image) {
  shape = Constant<value = int64[4] {-1, 3, 1, 1}>()
  image = Reshape(z, shape)
}
"""
LATENT = np.array([[-1, 0, 1]], np.float32)
PAINTED = [[[[0, 128, 255]]]]


def write(folder: Path, graph: str, card: str = "") -> Path:
    onnx.save_model(parser.parse_model(graph), folder / "mine.onnx")
    (folder / "mine.yaml").write_text(card)
    return folder / "mine.onnx"


def save_painter(folder: Path, card: str, is_dynamo: bool = True) -> Path:
    path = folder / "mine.onnx"
    path.with_suffix(".yaml").write_text(card)
    free = {0: torch.export.Dim("n", min=1)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        how = {"dynamo": True, "dynamic_shapes": (free, free), "verbose": False}
        if not is_dynamo:
            how = {"dynamo": False, "dynamic_axes": {name: {0: "n"} for name in ("z", "y", "picture")}}
        torch.onnx.export(
            Painter().eval(), (torch.zeros(2, 2), torch.zeros(2, 3)), path,
            input_names=["z", "y"], output_names=["picture"], **how,
        )  # fmt: skip
    return path


@pytest.mark.parametrize("is_dynamo", [True, False])
def test_what_torch_exports_is_served_with_a_class_for_each_image(
    tmp_path: Path, repository: Repository, is_dynamo: bool
) -> None:
    path = save_painter(tmp_path, CARD, is_dynamo)
    exported = exporter.export(repository, "mine", Form("custom", source.digest(path), max_batch_size=4), path)
    images = runtime.open_model(exported.directory)({"latent": LATENTS, "label": LABELS})["image"]
    np.testing.assert_array_equal(images, levels(painted(LATENTS, LABELS)))
    assert exported.version.determinism == DETERMINISM_EXACT
    card = repository.card("mine")
    assert list(card.stages[0].inputs) == ["latent", "label"]
    assert (card.height, card.width, card.latent.size, card.spaces[0].size) == (4, 4, 2, 2)
    assert [result.fault for result in verify(repository, "mine", checkpoint=path)] == [""]
    for part in (b"site-packages", b"custom_toys", str(tmp_path).encode()):
        assert part not in (exported.directory / "model.onnx").read_bytes()


def test_an_onnx_file_cannot_become_torchscript(tmp_path: Path, repository: Repository) -> None:
    path = write(tmp_path, PLAIN)
    form = Form("custom", source.digest(path), format=Format.TORCHSCRIPT)
    with pytest.raises(GraphError, match="is an ONNX graph and cannot become TorchScript"):
        exporter.export(repository, "mine", form, path)
    assert not repository.names()


def test_range_layout_and_grey_images_are_the_cards(tmp_path: Path) -> None:
    assert generate(write(tmp_path, PLAIN), latent=LATENT).tolist() == PAINTED
    path = write(tmp_path, PLAIN, "range: -3..1\n")
    assert generate(path, latent=LATENT).tolist() == [[[[128, 191, 255]]]]
    found = generate(path, Options(pixels="float32"), latent=LATENT)
    np.testing.assert_allclose(found, [[[[0, 0.5, 1]]]], atol=1e-6)
    last = PLAIN.replace("3, 1, 1]", "1, 1, 3]").replace("3, 1, 1}", "1, 1, 3}")
    assert generate(write(tmp_path, last, "layout: nhwc\n"), latent=LATENT).tolist() == PAINTED
    grey = PLAIN.replace("[n, 3, 1, 1]", "[n, 1, 1, 3]").replace("3, 1, 1}", "1, 1, 3}")
    assert generate(write(tmp_path, grey), latent=LATENT).tolist() == [[[[0] * 3, [128] * 3, [255] * 3]]]


@pytest.mark.parametrize(("kind", "number"), [("float16", 10), ("double", 11)])
def test_other_floating_point_types_are_converted(tmp_path: Path, kind: str, number: int) -> None:
    graph = PLAIN.replace("float[n, 3] z", f"{kind}[n, 3] z").replace("float[n, 3, 1, 1]", f"{kind}[n, 3, 1, 1]")
    assert f"{kind}[n, 3] z" in graph
    assert onnx.TensorProto.DataType.Name(number).lower() == kind
    assert generate(write(tmp_path, graph), latent=LATENT).tolist() == PAINTED


@pytest.mark.parametrize("given", ["int64[n] y", "int32[n, 1] y"])
def test_a_graph_that_takes_the_number_of_its_class_gets_the_heaviest(tmp_path: Path, given: str) -> None:
    graph = f"""
    <ir_version: 10, opset_import: ["" : 20]>
    chooser (float[n, 3] z, {given}) => (float[n, 3, 1, 1] image) {{
      colours = Constant<value = float[2, 3] {{0.0, 0.0, 0.0, 0.5, 0.0, -0.5}}>()
      flat = Constant<value = int64[2] {{-1, 3}}>()
      picked = Gather<axis=0>(colours, y)
      rows = Reshape(picked, flat)
      mixed = Add(z, rows)
      shape = Constant<value = int64[4] {{-1, 3, 1, 1}}>()
      image = Reshape(mixed, shape)
    }}
    """
    card = "classes: [dark, light]\ninputs: {latent: z, label: {name: y, encoding: index}}\n"
    labels = np.array([[1, 0], [0, 1], [0.4, 0.6]], np.float32)
    path = write(tmp_path, graph, card)
    found = generate(path, Options(pixels="float32"), latent=np.zeros((3, 3), np.float32), label=labels)
    np.testing.assert_array_equal(found[:, 0, 0], [[0, 0, 0], [0.5, 0, -0.5], [0.5, 0, -0.5]])
    path.with_suffix(".yaml").write_text(card.replace(", encoding: index", ""))
    with pytest.raises(CheckpointError, match=r"input 'y' takes int\d\d, not numbers: give label the encoding index"):
        custom.load(path, Options())


def test_functions_branches_and_names_like_ours_stay_as_they_are(tmp_path: Path) -> None:
    graph = """
    <ir_version: 10, opset_import: ["" : 20, "mine" : 1]>
    plain (float[n, 3] latent) => (float[n, 3, 1, 1] output) {
      end_0 = mine.twice(latent)
      zero = Constant<value = float[1] {0.0}>()
      total = ReduceSum<keepdims=0>(end_0)
      positive = Greater(total, zero)
      one = Constant<value = int64[1] {0}>()
      truth = Squeeze(positive, one)
      image = If (truth) <
        then_branch = yes () => (float[n, 3] high) { high = Identity(end_0) },
        else_branch = no () => (float[n, 3] low) { low = Identity(end_0) }
      >
      given_latent_0 = Constant<value = int64[4] {-1, 3, 1, 1}>()
      output = Reshape(image, given_latent_0)
    }
    <domain: "mine", opset_import: ["" : 20]>
    twice (x) => (y) {
      y = Add(x, x)
    }
    """
    latent = np.array([[-0.5, 0, 0.5], [-0.25, 0, 0.5]], np.float32)
    found = generate(write(tmp_path, graph), Options(pixels="float32"), latent=latent)
    np.testing.assert_array_equal(found[:, 0, 0], 2 * latent)


def test_weights_in_a_file_beside_the_graph_are_read(tmp_path: Path) -> None:
    path = save_painter(tmp_path, CARD)
    whole = custom.load(path, Options()).weights_digest
    model = onnx.load_model(path)
    onnx.save_model(model, path, save_as_external_data=True, location="mine.onnx.data", size_threshold=0)
    assert (tmp_path / "mine.onnx.data").exists()
    np.testing.assert_array_equal(generate(path, latent=LATENTS, label=ONE_HOT[[0, 1, 2, 0]]),
                                  levels(painted(LATENTS, ONE_HOT[[0, 1, 2, 0]])))  # fmt: skip
    assert custom.load(path, Options()).weights_digest == whole
    (tmp_path / "mine.onnx.data").unlink()
    with pytest.raises(CheckpointError, match=r"mine.onnx: not a readable ONNX file"):
        custom.load(path, Options())


TWO = PLAIN.replace("image) {", "image, float[n, 3] other) {\n  other = Identity(z)")


@pytest.mark.parametrize(
    ("graph", "card", "message"),
    [
        (PLAIN.replace("[n, 3] z", "[4, 3] z"), "", "'z' has a fixed batch of 4: export it with a free batch axis"),
        (PLAIN.replace("[n, 3, 1, 1]", "[1, 3, 1, 1]"), "", "'image' has a fixed batch of 1"),
        (PLAIN.replace("-1, 3, 1, 1}", "3, 3, 1, 1}"), "", "does not run with z of shape"),
        (PLAIN.replace('"" : 20', '"" : 11'), "", "its opset is 11, served are 13 to 22"),
        (PLAIN.replace('"" : 20', '"" : 25'), "", "its opset is 25, served are 13 to 22"),
        (PLAIN, "latent: 4", r"input 'z' takes rows of shape \(3,\); latent has 4 numbers"),
        (PLAIN, "classes: 3", "has no input 'latent' for the latent: it takes z"),
        (PLAIN, "output: picture", "output must be one of image, which the network gives; it is 'picture'"),
        (TWO, "", "output must be one of image, other, which the network gives; it is None"),
        (TWO, "output: other", r"must have four axes \(N, C, H, W\), it has the shape \(3, 3\)"),
        (PLAIN, "task: classify\nheight: 1\nwidth: 1\nlabels: [a]", "exported by the family onnx_classifier"),
        (PLAIN.replace("Reshape(z", "Reshape(x"), "", "mine.onnx: not a valid ONNX file"),
    ],
)
def test_a_graph_that_cannot_be_served_is_told_why(tmp_path: Path, graph: str, card: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        custom.load(write(tmp_path, graph, card), Options())


def test_the_second_of_two_outputs_can_be_asked_for(tmp_path: Path) -> None:
    for output in ("image", "0"):
        assert generate(write(tmp_path, TWO, f"output: {output}\n"), latent=LATENT).tolist() == PAINTED


def test_anything_but_onnx_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, PLAIN)
    for content in (b"hello", b"", path.read_bytes()[:-20]):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"mine.onnx: not a (readable|valid) ONNX file"):
            custom.load(path, Options())
