"""What pix2pixHD's networks are taken to be, and what becomes of them in the repository."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pellucid.v1.model_pb2 import TASK_TRANSLATE
from pellucid.v1.translation_pb2 import (
    FIT_MODE_NEAREST,
    RESAMPLING_BICUBIC,
    FeatureInput,
    LabelMapInput,
    Sizes,
    Translation,
)
from pellucid_export import card, exporter, runtime, source
from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.families import pix2pixhd
from pellucid_export.families.pix2pixhd import FAMILY, Options
from pellucid_export.family import Network
from pellucid_export.form import Form, Format
from pellucid_export.networks.local_enhancer import LocalEnhancer
from pellucid_export.networks.norms import PerImageNorm
from pellucid_export.repository import Repository
from tests.pellucid_export.families.pix2pixhd_experiments import encoder_state, experiment, global_state, local_state

pytestmark = pytest.mark.torch

SIZES = Sizes(
    height_multiple=2,
    width_multiple=2,
    min_side=4,
    max_px=2 * 2048 * 1024,
    default_fit=FIT_MODE_NEAREST,
    resampling=RESAMPLING_BICUBIC,
)


def loaded(folder: Path, generator: State, **options: Any) -> Network:
    return pix2pixhd.load(experiment(folder, generator) / "latest_net_G.pth", Options(**options))


def inputs(network: Network) -> list[str]:
    return [tensor.name for tensor in network.stages[-1].signature.inputs]


def test_thirty_six_planes_are_cityscapes_and_edges(tmp_path: Path) -> None:
    network = loaded(tmp_path, global_state(36))
    found = network.card.translation.label_map
    assert inputs(network) == ["label_map", "instance_map"]
    assert (found.count, found.instances, len(found.names), len(found.palette)) == (35, True, 35, 105)
    assert [found.names[label] for label in (0, 7, 26, 33, 34)] == [
        "unlabeled",
        "road",
        "car",
        "bicycle",
        "license plate",
    ]
    assert list(found.palette[3 * 26 : 3 * 27]) == [0, 0, 142]
    assert list(found.palette[-6:]) == [119, 11, 32, 0, 0, 142]


def test_the_card_says_what_scenes_have_and_how_they_are_fitted(tmp_path: Path) -> None:
    network = loaded(tmp_path, global_state(6))
    found = network.card
    assert (found.task, found.height, found.width) == (TASK_TRANSLATE, 512, 1024)
    assert found.translation == Translation(sizes=SIZES, label_map=LabelMapInput(count=5, instances=True))
    assert card.from_json(card.to_json(found)) == found
    assert [tensor.high for tensor in network.stages[0].signature.inputs] == [4, 1023]


def test_networks_without_edges_take_labels_alone(tmp_path: Path) -> None:
    network = loaded(tmp_path, global_state(6), no_instance=True)
    assert inputs(network) == ["label_map"]
    assert network.card.translation.label_map == LabelMapInput(count=6, instances=False)


@pytest.mark.parametrize("options", [{}, {"label_nc": 0}, {"label_nc": 0, "no_instance": True}])
def test_three_planes_are_an_image(tmp_path: Path, options: dict[str, Any]) -> None:
    network = loaded(tmp_path, global_state(3), **options)
    assert inputs(network) == ["source"]
    assert network.card.translation == Translation(sizes=SIZES)


def test_three_planes_are_labels_where_options_say_so(tmp_path: Path) -> None:
    assert inputs(loaded(tmp_path, global_state(3), label_nc=2)) == ["label_map", "instance_map"]


def test_planes_beyond_labels_and_edges_are_features(tmp_path: Path) -> None:
    network = loaded(tmp_path, global_state(9), label_nc=5)
    assert inputs(network) == ["label_map", "instance_map", "features"]
    assert network.card.translation.features == FeatureInput(size=3, max_instances=1024)
    network = loaded(tmp_path, global_state(9), label_nc=5, no_instance=True)
    assert inputs(network) == ["label_map", "instance_map", "features"]
    assert network.card.translation.features.size == 4
    assert not network.card.translation.label_map.instances


def test_an_encoder_and_clusters_tell_how_many_planes_are_features(tmp_path: Path) -> None:
    clusters = {0: np.array([[0.5, -0.5]]), 4: np.array([[1.0, 0.0], [0.25, 0.75]])}
    experiment(tmp_path, global_state(8), encoder_state(2, halvings=2), clusters)
    network = pix2pixhd.load(tmp_path, Options())
    found = network.card.translation
    assert [stage.role for stage in network.stages] == ["feature_encoder", "generator"]
    assert found.label_map.count == 5
    assert found.features == FeatureInput(
        size=2, max_instances=1024, clusters_asset="clusters.json", encoder_stage="feature_encoder"
    )
    # The encoder halves twice, the generator once.
    assert (found.sizes.height_multiple, found.sizes.width_multiple) == (4, 4)
    assert json.loads(network.assets["clusters.json"]) == {"0": [[0.5, -0.5]], "4": [[1.0, 0.0], [0.25, 0.75]]}


def test_clusters_alone_are_enough(tmp_path: Path) -> None:
    network = pix2pixhd.load(experiment(tmp_path, global_state(8), clusters={1: np.zeros((1, 2))}), Options())
    found = network.card.translation
    assert [stage.role for stage in network.stages] == ["generator"]
    assert (found.label_map.count, found.features.size, found.features.encoder_stage) == (5, 2, "")


@pytest.mark.parametrize(
    ("planes", "options", "message"),
    [
        (36, {"label_nc": 36}, r"takes 36 planes, which are not 36 labels, 1 of edges and 0 features; .* fit: label_nc=35 no_instance=false or label_nc=36 no_instance=true$"),
        (36, {"label_nc": 0}, "not 0 labels, 1 of edges"),
        (3, {"label_nc": 3}, r"label_nc=2 no_instance=false or label_nc=3 no_instance=true or label_nc=0 .an image."),
        (300, {}, "takes 300 planes, which are not 299 labels.* would fit: none"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_are_refused_with_what_would_fit(
    tmp_path: Path, planes: int, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        loaded(tmp_path, global_state(planes), **options)


def test_labels_that_leave_other_features_than_the_encoder_gives_are_refused(tmp_path: Path) -> None:
    experiment(tmp_path, global_state(36), encoder_state(3))
    with pytest.raises(
        CheckpointError, match=r"36 planes .3 features by its encoder.* fit: label_nc=32 no_instance=false"
    ):
        pix2pixhd.load(tmp_path, Options(label_nc=35))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (global_state(6, halvings=3), (512, 1024, 8)),
        (local_state(6), (1024, 2048, 4)),
        (local_state(6, enhancers=2, width=8), (1024, 2048, 8)),
    ],
)
def test_usual_sizes_and_multiples_are_the_networks_own(
    tmp_path: Path, state: State, expected: tuple[int, int, int]
) -> None:
    network = loaded(tmp_path, state)
    found = network.card
    assert (found.height, found.width, found.translation.sizes.height_multiple) == expected
    assert network.stages[0].signature.inputs[0].example() == (128, 256)
    network = loaded(tmp_path, state, height=16, width=48)
    assert (network.card.height, network.card.width) == (16, 48)
    assert network.stages[0].signature.inputs[0].example() == (16, 48)


@pytest.mark.parametrize("options", [{"height": 513}, {"width": 8}, {"height": 4104}, {"height": -16}])
def test_sizes_that_the_network_does_not_take_are_refused(tmp_path: Path, options: dict[str, int]) -> None:
    (name,) = options
    with pytest.raises(
        FamilyError, match=f"'{name}' must be a multiple of 8 from 16 on, height x width at most 4194304"
    ):
        loaded(tmp_path, global_state(6, halvings=3), **options)


def test_batch_norms_take_each_images_own_statistics(tmp_path: Path) -> None:
    state = global_state(3, is_affine=True)
    channels = [name.removesuffix(".weight") for name, value in state.items() if value.ndim == 1 and "weight" in name]
    tracked = {f"{name}.running_mean": torch.full(state[f"{name}.weight"].shape, 5.0) for name in channels}
    stage = loaded(tmp_path, {**state, **tracked}, pixels="float32").stages[0]
    seen = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 16, 8, 3), np.uint8))
    with torch.inference_mode():
        found = stage.module(seen)
        _put_batch_norms_in_training_mode(stage.module)
        # The official test: training mode, and one image at a time.
        for row in range(2):
            torch.testing.assert_close(stage.module(seen[row : row + 1]), found[row : row + 1], atol=1e-5, rtol=1e-5)
        assert (stage.module(seen) - found).abs().max() > 0.01


def _put_batch_norms_in_training_mode(module: nn.Module) -> None:
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, PerImageNorm) and child.weight is not None and child.bias is not None:
                norm = nn.BatchNorm2d(child.weight.numel()).train()
                norm.weight.data, norm.bias.data = child.weight, child.bias
                setattr(parent, name, norm)


def test_each_of_several_enhancers_adds_its_features_at_its_resolution(tmp_path: Path) -> None:
    state = local_state(3, enhancers=2, width=8)
    network = LocalEnhancer.of(state)
    network.load_state_dict(state)
    planes = torch.randn(1, 3, 32, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        half = network.shrink(planes)
        x = network.model(network.shrink(half))
        x = network.model1_2(network.model1_1(half) + x)
        torch.testing.assert_close(network(planes), network.model2_2(network.model2_1(planes) + x))
    # What lies beyond the border is not counted.
    torch.testing.assert_close(half[0, 0, 0, 0], planes[0, 0, :2, :2].mean())


@pytest.mark.parametrize("file_format", list(Format))
def test_what_is_exported_has_both_stages_the_clusters_and_any_size(tmp_path: Path, file_format: Format) -> None:
    folder = tmp_path / "experiment"
    folder.mkdir()
    experiment(folder, local_state(8), encoder_state(2), {4: np.array([[0.5, -1.0]])})
    options = {"height": "8", "width": "16"}
    form = Form(FAMILY.name, source.digest(folder), format=file_format, options=options, max_batch_size=3)
    repository = Repository(tmp_path / "models")
    exported = exporter.export(repository, "town", form, folder)
    assert exported.version.parity.max_error <= exported.version.parity.tolerance
    assert [asset.name for asset in exported.version.assets] == ["clusters.json"]
    assert json.loads((exported.directory / "clusters.json").read_bytes()) == {"4": [[0.5, -1.0]]}
    encoder = runtime.open_model(repository.directory("town.feature_encoder", 1))
    generator = runtime.open_model(exported.directory)
    random = np.random.default_rng(0)
    rows = random.integers(0, 5, (2, 12, 40), np.int32)
    photographs = random.integers(0, 256, (2, 12, 40, 3), np.uint8)
    features = encoder({"source": photographs, "instance_map": rows})["features"]
    assert features.shape == (2, 1024, 2)
    assert np.abs(features[:, :5]).min() > 0
    assert not features[:, 5:].any()
    scene = {"label_map": rows.astype(np.uint8), "instance_map": rows, "features": features}
    images = generator(scene)["image"]
    assert images.shape == (2, 12, 40, 3)
    features[1, 3] += 1
    changed = generator(scene)["image"]
    np.testing.assert_array_equal(changed[0], images[0])
    assert (changed[1] != images[1]).any()
    # Rows of instances that are not there change nothing.
    features[:, 5:] = 9
    np.testing.assert_array_equal(generator(scene)["image"], changed)
