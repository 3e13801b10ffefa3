"""Golden translations of the official code, asked for through the gateway and Triton, within one 8-bit level."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

from pellucid.v1 import analysis_service_pb2, image_pb2, translation_pb2, translation_service_pb2_grpc
from pellucid.v1 import translation_service_pb2 as pb
from pellucid_client.demo.stack import Stack
from tests.e2e.conftest import START_TIMEOUT_S
from tests.e2e.gallery import TRANSLATORS, Case, export_all

# The exports come before the first test.
pytestmark = [pytest.mark.torch, pytest.mark.stack, pytest.mark.timeout(1200)]
RAW = image_pb2.OutputOptions(format=image_pb2.IMAGE_FORMAT_RAW)
OFFICIAL = pb.SourceFit(official=True)


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("translators")
    export_all(root, TRANSLATORS)
    with (
        Stack.of_repository(root, tmp_path_factory.mktemp("stack") / "log", START_TIMEOUT_S) as stack,
        grpc.insecure_channel(stack.facts["gateway"]) as channel,
    ):
        yield translation_service_pb2_grpc.TranslationServiceStub(channel)


def image(data: bytes) -> analysis_service_pb2.ImageInput:
    return analysis_service_pb2.ImageInput(data=data)


def translate(stub: Any, case: Case, source: pb.TranslationSource, *targets: pb.Target, **fields: object) -> list[Any]:
    request = pb.TranslateRequest(model=f"models/{case.model}", source=source, targets=targets, output=RAW, **fields)
    return list(stub.Translate(request).images)


def pixels(made: pb.TranslatedImage) -> np.ndarray:
    return np.frombuffer(made.data, np.uint8).reshape(made.height, made.width, 3).astype(np.float64)


def levels(official: np.ndarray) -> np.ndarray:
    """8-bit levels (H, W, 3) of an official image (3, H, W) in [-1, 1]."""
    return np.clip((official.astype(np.float64) + 1) * 127.5, 0, 255).transpose(1, 2, 0)


def assert_close(made: pb.TranslatedImage, official: np.ndarray) -> None:
    assert np.abs(pixels(made) - levels(official)).max() <= 1.0


def half(path: Path, side: str) -> bytes:
    """One half of an aligned pair."""
    pair = Image.open(path)
    middle = pair.width // 2
    buffer = io.BytesIO()
    pair.crop((0, 0, middle, pair.height) if side == "A" else (middle, 0, pair.width, pair.height)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("number", [0, 1])
def test_stargans_strip_by_one_call(stub: Any, number: int) -> None:
    case = TRANSLATORS["stargan"]
    labels = dict(zip(case.facts["config"]["selected_attrs"], map(float, case.arrays["c_org"][number]), strict=True))
    source = pb.TranslationSource(image=image((case.path.parent / f"input_{number}.png").read_bytes()), labels=labels)
    made = translate(stub, case, source, all_domains=True, fit=OFFICIAL)
    for one, told, official in zip(made, case.arrays["c_trg"], case.arrays["y"], strict=True):
        assert list(one.applied.domain) == told[number].tolist()
        assert_close(one, official[number])


def test_the_joint_stargans_strip_with_both_sets(stub: Any) -> None:
    case = TRANSLATORS["stargan-joint"]
    labels = dict(zip(case.facts["config"]["selected_attrs"], map(float, case.arrays["c_org"][0]), strict=True))
    source = pb.TranslationSource(image=image((case.path.parent / "input_0.png").read_bytes()), labels=labels)
    made = translate(stub, case, source, all_domains=True, fit=OFFICIAL)
    assert len(made) == 13
    for one, told, official in zip(made, case.arrays["c_trg"], case.arrays["y"], strict=True):
        assert list(one.applied.domain) == told[0].tolist()
        assert_close(one, official[0])


def test_cyclegan_there_and_back(stub: Any) -> None:
    case = TRANSLATORS["cyclegan"]
    arrays = case.arrays
    fit = pb.SourceFit(mode=translation_pb2.FIT_MODE_RESIZE, height=64, width=64)
    for name, direction, fake, again in (("A", "AtoB", "fake_B", "rec_A"), ("B", "BtoA", "fake_A", "rec_B")):
        source = pb.TranslationSource(image=image((case.path / f"input_{name}.png").read_bytes()))
        [made] = translate(stub, case, source, pb.Target(direction=direction, cycle=True), fit=fit)
        assert_close(made, arrays[fake][0])
        # The way back starts from 8-bit pixels here and from untouched ones in the official code.
        back = np.frombuffer(made.reconstruction.data, np.uint8).reshape(64, 64, 3)
        assert np.abs(back - levels(arrays[again][0])).mean() <= 1.5
        exact = np.abs(levels(arrays[again][0]) - levels(arrays[f"real_{name}"][0])).mean()
        assert made.reconstruction.mean_error == pytest.approx(exact, abs=1.5)


def test_an_old_cyclegan_file(stub: Any) -> None:
    case = TRANSLATORS["cyclegan-old"]
    source = pb.TranslationSource(image=image((case.path.parent / "input.png").read_bytes()))
    fit = pb.SourceFit(mode=translation_pb2.FIT_MODE_RESIZE, height=64, width=64)
    [made] = translate(stub, case, source, fit=fit)
    assert_close(made, case.arrays["y"][0])


@pytest.mark.parametrize(
    ("model", "side", "official"),
    [
        ("pix2pix", "B", "y_batchstats_nodropout"),
        ("pix2pix-grey", "A", "y_batchstats_nodropout"),
        ("pix2pix-resnet", "A", "y_eval"),
    ],
)
def test_pix2pix(stub: Any, model: str, side: str, official: str) -> None:
    case = TRANSLATORS[model]
    source = pb.TranslationSource(image=image(half(case.path.parent / "test" / "1.png", side)))
    size = case.facts["config"]["crop_size"]
    fit = pb.SourceFit(mode=translation_pb2.FIT_MODE_RESIZE, height=size, width=size)
    [made] = translate(stub, case, source, fit=fit)
    assert_close(made, case.arrays[official][0])


def scene(case: Case, *edits: pb.ObjectEdit) -> pb.TranslationSource:
    label_map, instance_map = (
        pb.MapInput(data=(case.path / folder / "1.png").read_bytes()) for folder in ("test_label", "test_inst")
    )
    return pb.TranslationSource(scene=pb.Scene(label_map=label_map, instance_map=instance_map, edits=edits))


@pytest.mark.parametrize(
    ("model", "fit"),
    [
        ("pix2pixhd", pb.SourceFit(mode=translation_pb2.FIT_MODE_RESIZE, width=128)),
        ("pix2pixhd-local", pb.SourceFit(mode=translation_pb2.FIT_MODE_RESIZE, height=128, width=256)),
    ],
)
def test_pix2pixhd_from_maps(stub: Any, model: str, fit: pb.SourceFit) -> None:
    case = TRANSLATORS[model]
    [made] = translate(stub, case, scene(case), fit=fit)
    assert_close(made, case.arrays["y"][0])


def test_pix2pixhd_from_rgb(stub: Any) -> None:
    case = TRANSLATORS["pix2pixhd-rgb"]
    source = pb.TranslationSource(image=image((case.path / "test_A" / "1.png").read_bytes()))
    fit = pb.SourceFit(mode=translation_pb2.FIT_MODE_RESIZE, width=64)
    [made] = translate(stub, case, source, fit=fit)
    assert_close(made, case.arrays["y"][0])


def test_pix2pixhd_with_looks_from_clusters_and_from_an_example(stub: Any) -> None:
    case = TRANSLATORS["pix2pixhd-looks"]
    arrays = case.arrays
    fit = pb.SourceFit(mode=translation_pb2.FIT_MODE_RESIZE, width=128)
    example = pb.StyleTarget(example=image((case.path / "test_img" / "1.png").read_bytes()))
    chosen = pb.StyleTarget(clusters=official_choice(case))
    sampled, encoded = translate(stub, case, scene(case), pb.Target(style=chosen), pb.Target(style=example), fit=fit)
    assert_close(sampled, arrays["y_sampled_seed0"][0])
    assert_close(encoded, arrays["y_encoded"][0])
    [seeded] = translate(stub, case, scene(case), pb.Target(style=pb.StyleTarget(seed=3)), fit=fit)
    [again] = translate(stub, case, scene(case), pb.Target(style=pb.StyleTarget(seed=3)), fit=fit)
    assert seeded == again


def official_choice(case: Case) -> dict[int, int]:
    """The cluster of each instance that the official code drew, from the features that it painted."""
    from pellucid_export import options
    from pellucid_export.families import pix2pixhd

    network = pix2pixhd.load(case.path, options.parse(pix2pixhd.FAMILY, case.options))
    clusters = {int(label): np.array(rows) for label, rows in json.loads(network.assets["clusters.json"]).items()}
    arrays, choice = case.arrays, {}
    for instance in np.unique(arrays["inst"]).astype(int):
        inside = arrays["inst"][0, 0] == instance
        label = int(np.bincount(arrays["label"][0, 0][inside].astype(int)).argmax())
        if label in clusters:
            painted = arrays["feat_sampled_seed0"][0][:, inside][:, 0]
            choice[instance] = int(np.abs(clusters[label] - painted).sum(axis=1).argmin())
    return choice


def test_editing_an_object_is_translating_the_edited_maps(stub: Any) -> None:
    case = TRANSLATORS["pix2pixhd"]
    fit = pb.SourceFit(mode=translation_pb2.FIT_MODE_RESIZE, width=128)
    labels, instances = (
        np.asarray(Image.open(case.path / folder / "1.png")).astype(np.int64) for folder in ("test_label", "test_inst")
    )
    number = int(np.unique(instances)[-1])
    edits = [
        pb.ObjectEdit(relabel=pb.Relabel(instance=number, label=3)),
        pb.ObjectEdit(paste=pb.Paste(mask=raw(np.ones((9, 14), np.uint8)), top=5, left=7, label=11, instance=77_000)),
    ]
    edited_labels, edited_instances = labels.copy(), instances.copy()
    edited_labels[instances == number] = 3
    edited_labels[5:14, 7:21], edited_instances[5:14, 7:21] = 11, 77_000
    by_hand = pb.TranslationSource(
        scene=pb.Scene(label_map=raw(edited_labels.astype("<u4")), instance_map=raw(edited_instances.astype("<u4")))
    )
    [edited] = translate(stub, case, scene(case, *edits), fit=fit)
    [wanted] = translate(stub, case, by_hand, fit=fit)
    [plain] = translate(stub, case, scene(case), fit=fit)
    assert edited.data == wanted.data != plain.data


def raw(numbers: np.ndarray) -> pb.MapInput:
    height, width = numbers.shape
    return pb.MapInput(data=numbers.tobytes(), raw_height=height, raw_width=width, raw_bytes=numbers.itemsize)


def test_a_picture_in_tiles_is_nearly_as_in_one_piece(stub: Any) -> None:
    case = TRANSLATORS["pix2pix-resnet"]
    small = Image.open(TRANSLATORS["cyclegan"].path / "input_A.png").convert("RGB")
    picture = np.asarray(small.resize((640, 448), Image.Resampling.BICUBIC))
    whole = analysis_service_pb2.ImageInput(data=picture.tobytes(), raw_height=448, raw_width=640)
    source = pb.TranslationSource(image=whole)
    [piece] = translate(stub, case, source, fit=pb.SourceFit(mode=translation_pb2.FIT_MODE_KEEP))
    [tiled] = translate(stub, case, source, fit=pb.SourceFit(mode=translation_pb2.FIT_MODE_TILE))
    assert (tiled.height, tiled.width, tiled.applied.height, tiled.applied.width) == (448, 640, 256, 256)
    difference = np.abs(pixels(tiled) - pixels(piece))
    # What a border makes up reaches 92 pixels into a tile; the weights are small there, and so is what is left of it.
    assert difference.mean() < 0.15
    assert (difference > 1).mean() < 0.03
    # The corners are of one tile each, and its borders are far away.
    for corner in (difference[:160, :160], difference[-160:, :160], difference[-160:, -160:]):
        assert corner.max() <= 1
    assert pixels(piece).std() > 50


def test_tiles_are_refused_where_norms_take_statistics_of_the_image(stub: Any) -> None:
    source = pb.TranslationSource(image=image((TRANSLATORS["cyclegan"].path / "input_A.png").read_bytes()))
    with pytest.raises(grpc.RpcError, match=r"translation\.sizes\.tiles"):
        translate(stub, TRANSLATORS["cyclegan"], source, fit=pb.SourceFit(mode=translation_pb2.FIT_MODE_TILE))


def test_images_in_one_batch_are_as_alone(stub: Any) -> None:
    rng = np.random.default_rng(0)
    for model in ("stargan", "cyclegan", "pix2pix", "pix2pixhd-rgb"):
        sources = [rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(4)]
        target = pb.Target()
        if model == "stargan":
            target.domain.values.update({"Black_Hair": 1, "Blond_Hair": 0, "Brown_Hair": 0, "Male": 0, "Young": 1})
        inputs = [
            pb.TranslationSource(image=analysis_service_pb2.ImageInput(data=one.tobytes(), raw_height=64, raw_width=64))
            for one in sources
        ]
        alone = [translate(stub, TRANSLATORS[model], one, target)[0].data for one in inputs]
        start = pb.StreamTranslateStart(model=f"models/{model}", targets=[target], output=RAW)
        requests = [
            pb.StreamTranslateRequest(start=start),
            *(pb.StreamTranslateRequest(item=pb.TranslationItem(source=one)) for one in inputs * 8),
        ]
        together = [one.images.images[0].data for one in stub.StreamTranslate(iter(requests))]
        for got, wanted in zip(together, alone * 8, strict=True):
            difference = np.frombuffer(got, np.uint8).astype(int) - np.frombuffer(wanted, np.uint8)
            assert np.abs(difference).max() <= 1
