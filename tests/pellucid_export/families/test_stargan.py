"""StarGAN's names of domains, its files, and what becomes of them in the repository."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pellucid.v1.model_pb2 import DETERMINISM_EXACT, TASK_TRANSLATE
from pellucid.v1.translation_pb2 import FIT_MODE_PAD, RESAMPLING_BILINEAR, Domains, DomainSet, ExclusiveGroup, Sizes
from pellucid_export import card, exporter, runtime, source
from pellucid_export.containers.checkpoints import State
from pellucid_export.errors import CheckpointError, FamilyError
from pellucid_export.families import stargan
from pellucid_export.families.stargan import FAMILY, Options
from pellucid_export.family import Network
from pellucid_export.form import Form, Format
from pellucid_export.networks.labelled_generator import Layout
from pellucid_export.repository import Repository
from tests.pellucid_export.published.stargan import random_state, tracked

pytestmark = pytest.mark.torch

ATTRIBUTES = ["Black_Hair", "Blond_Hair", "Brown_Hair", "Male", "Young"]
HAIR = [ExclusiveGroup(names=ATTRIBUTES[:3])]


def state_of(labels: int) -> State:
    return random_state(Layout(labels, width=4, blocks=2), seed=labels)


def loaded(folder: Path, labels: int, **options: Any) -> Network:
    torch.save(state_of(labels), folder / "200000-G.ckpt")
    return stargan.load(folder / "200000-G.ckpt", Options(**{"image_size": 16, **options}))


def domains(folder: Path, labels: int, **options: Any) -> Domains:
    found: Domains = loaded(folder, labels, **options).card.translation.domains
    return found


def test_five_labels_are_celebas_attributes_of_which_hair_has_one_colour(tmp_path: Path) -> None:
    expected = Domains(size=5, sets=[DomainSet(names=ATTRIBUTES, groups=HAIR)], source_classifier="models/faces")
    assert domains(tmp_path, 5, source_classifier="models/faces") == expected


def test_a_joint_network_has_two_sets_and_a_mask_with_a_bit_for_each(tmp_path: Path) -> None:
    assert domains(tmp_path, 9, classes="happy, sad") == Domains(
        size=9,
        sets=[
            DomainSet(name="celeba", names=ATTRIBUTES, groups=HAIR, mask=7),
            DomainSet(name="rafd", offset=5, names=["happy", "sad"], exclusive=True, mask=8),
        ],
    )


def test_classes_alone_exclude_each_other(tmp_path: Path) -> None:
    found = loaded(tmp_path, 2, classes="happy,sad").card.translation
    assert found.domains == Domains(size=2, sets=[DomainSet(names=["happy", "sad"], exclusive=True)])
    assert found.sizes.center_crop == 0


def test_a_single_hair_colour_is_a_group_too_since_it_is_turned_on_and_not_over(tmp_path: Path) -> None:
    (found,) = domains(tmp_path, 2, attributes="Smiling,Gray_Hair").sets
    assert found.groups == [ExclusiveGroup(names=["Gray_Hair"])]
    (found,) = domains(tmp_path, 2, attributes="Smiling,Male").sets
    assert not found.groups


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (4, {}, r"has 4 labels; given are 5 attributes .* and 0 classes .* would fit is 4 attributes, or 4 classes .with dataset=classes.$"),
        (15, {}, "what would fit is 15 attributes, or 15 classes .*, or these attributes with 8 classes"),
        (5, {"classes": "a,b,c,d,e"}, "5 labels may be attributes or classes: say which in option 'dataset'"),
        (5, {"dataset": "classes", "classes": "a,b"}, "2 classes .a, b. with dataset=classes"),
        (5, {"dataset": "joint"}, "with dataset=joint"),
    ],
)  # fmt: skip
def test_names_that_do_not_fit_are_refused_with_what_would_fit(
    tmp_path: Path, labels: int, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        loaded(tmp_path, labels, **options)


def test_the_data_set_decides_where_numbers_do_not(tmp_path: Path) -> None:
    for dataset, exclusive in (("attributes", False), ("classes", True)):
        (found,) = domains(tmp_path, 5, classes="a,b,c,d,e", dataset=dataset).sets
        assert found.exclusive == exclusive


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attributes": "Male,,Young"}, "option 'attributes' must be different names"),
        ({"classes": "sad,sad"}, "option 'classes' must be different names"),
        ({"image_size": 30}, "option 'image_size' must be a multiple of 4 from 8 to 2048, not 30"),
        ({"image_size": 4}, "not 4"),
        ({"center_crop": -2}, "option 'center_crop' must be 0 or more, or -1, not -2"),
        ({"source_classifier": "faces"}, "option 'source_classifier' must be models/NAME, not 'faces'"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(FamilyError, match=message):
        loaded(tmp_path, 5, **options)


def test_the_card_says_how_images_are_fitted(tmp_path: Path) -> None:
    found = loaded(tmp_path, 5).card
    assert (found.task, found.height, found.width) == (TASK_TRANSLATE, 16, 16)
    assert found.translation.sizes == Sizes(
        height_multiple=4,
        width_multiple=4,
        max_px=2048 * 2048,
        default_fit=FIT_MODE_PAD,
        resampling=RESAMPLING_BILINEAR,
        center_crop=178,
    )
    assert loaded(tmp_path, 5, center_crop=200).card.translation.sizes.center_crop == 200
    assert card.from_json(card.to_json(found)) == found


def test_a_file_of_old_pytorch_with_statistics_is_the_same_network(tmp_path: Path) -> None:
    new = loaded(tmp_path, 5)
    old_path = tmp_path / "old.ckpt"
    torch.save(tracked(state_of(5)), old_path, _use_new_zipfile_serialization=False)
    assert old_path.read_bytes()[:2] != b"PK"
    old = stargan.load(old_path, Options(image_size=16))
    assert old.weights_digest == new.weights_digest
    inputs = {"source": np.arange(768, dtype=np.uint8).reshape(1, 16, 16, 3), "domain": np.ones((1, 5), np.float32)}
    found, expected = (runtime.reference(network.stages[0])(inputs)["image"] for network in (old, new))
    np.testing.assert_array_equal(found, expected)


def without(state: State, *names: str) -> State:
    return {name: value for name, value in state.items() if name not in names}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: without(s, "main.10.main.4.bias"), r"StarGAN of 5 labels and 2 blocks: missing: main\.10\.main\.4\.bias$"),
        (lambda s: {**s, "main.2.weight": torch.zeros(4)}, r"unexpected: main\.2\.weight$"),
        (lambda s: {**s, "main.3.weight": torch.zeros(8, 4, 3, 3)}, r"main\.3\.weight is \(8, 4, 3, 3\), not \(8, 4, 4, 4\)$"),
        (lambda s: {**s, "main.1.bias": torch.full((4,), torch.inf)}, r"not finite: main\.1\.bias"),
        (lambda s: without(s, "main.9.main.0.weight"), r"blocks from main\.9 on and main\.16\.weight are expected, found blocks main\.10"),
        (lambda s: {**s, "main.0.weight": torch.zeros(4, 3, 7, 7)}, r"main\.0\.weight takes 3 channels"),
        (lambda s: {**s, "main.0.weight": torch.zeros(4, 8)}, r"found \(4, 8\)"),
        (lambda s: {"main.0.weight": torch.zeros(2, 3, 4, 4), "conv1.weight": torch.zeros(1)}, "this is a discriminator"),
        (lambda s: {"layer.weight": torch.zeros(2)}, r"found layer\.weight$"),
    ],
)  # fmt: skip
def test_other_networks_are_refused_with_what_differs(
    tmp_path: Path, change: Callable[[State], State], message: str
) -> None:
    path = tmp_path / "200000-G.ckpt"
    torch.save(change(state_of(5)), path)
    with pytest.raises(CheckpointError, match=message):
        stargan.load(path, Options())


class Attack:
    """Unpickling it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("is_new", [True, False])
def test_a_file_that_would_run_a_command_is_refused_and_runs_nothing(tmp_path: Path, is_new: bool) -> None:
    path, victim = tmp_path / "200000-G.ckpt", tmp_path / "victim"
    content = {**state_of(5), "extra": Attack(victim)}
    torch.save(content, path, _use_new_zipfile_serialization=is_new)
    with pytest.raises(CheckpointError, match="nothing of it was executed"):
        stargan.load(path, Options())
    assert not victim.exists()


@pytest.mark.parametrize("damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"\0" * 99, lambda raw: b""])
def test_damaged_files_are_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "200000-G.ckpt"
    torch.save(state_of(5), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"200000-G\.ckpt"):
        stargan.load(path, Options())


@pytest.mark.parametrize("file_format", list(Format))
def test_what_is_exported_takes_any_size_and_a_domain_of_its_own_for_each_image(
    tmp_path: Path, file_format: Format
) -> None:
    path = tmp_path / "200000-G.ckpt"
    torch.save(state_of(5), path)
    form = Form(FAMILY.name, source.digest(path), format=file_format, options={"image_size": "16"}, max_batch_size=3)
    exported = exporter.export(Repository(tmp_path / "models"), "faces", form, path)
    assert exported.version.parity.max_error <= 1
    if file_format is Format.ONNX:
        assert exported.version.determinism == DETERMINISM_EXACT
    run = runtime.open_model(exported.directory)
    seen = np.random.default_rng(0).integers(0, 256, (1, 8, 40, 3), np.uint8)
    targets = np.eye(5, dtype=np.float32)[:2]
    together = run({"source": np.repeat(seen, 2, axis=0), "domain": targets})["image"]
    assert together.shape == (2, 8, 40, 3)
    assert (together[0] != together[1]).any()
    for row in range(2):
        alone = run({"source": seen, "domain": targets[row : row + 1]})["image"]
        assert np.abs(alone.astype(int) - together[row : row + 1]).max() <= 1
