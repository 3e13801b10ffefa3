import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pellucid.v1.model_pb2 import CaptionInput, ClassList, Model, TruncationRange
from pellucid_export.axes import conditions
from pellucid_export.axes.conditions import Conditions, Given
from pellucid_export.axes.errors import AxesError
from pellucid_export.family import Tensor

pytestmark = pytest.mark.torch

CARD = Model(
    name="models/m",
    classes=ClassList(names=["Cat", "Dog", "tench, Tinca tinca"]),
    truncation=TruncationRange(min=0, max=1, default_value=0.7, layers=18, default_cutoff=8),
    caption=CaptionInput(max_tokens=4, vocabulary_asset="v.json"),
)
LABEL = Tensor("label", "float32", (3,))
CONDITION = Tensor("condition", "float32", (2,))


def of(folder: Path, *tensors: Tensor, card: Model = CARD, **given: object) -> Conditions:
    (folder / "v.json").write_text(json.dumps({"red": 5, "bird": 2}))
    return conditions.of(card, {tensor.name: tensor for tensor in tensors}, Given(**given), folder)


def classes(found: Conditions, count: int = 400) -> list[int]:
    labels = found.rows(range(count), ["label"])["label"]
    assert (labels.dtype, labels.shape) == (np.float32, (count, 3))
    assert set(np.unique(labels)) == {0, 1}
    np.testing.assert_array_equal(labels.sum(axis=1), 1)
    return labels.argmax(axis=1).tolist()


def test_controls_have_the_values_that_a_request_without_them_gets(tmp_path: Path) -> None:
    found = of(
        tmp_path,
        Tensor("truncation", "float64", (1,)),
        Tensor("truncation_cutoff", "int64", (1,)),
        Tensor("noise_strength", "float32", (1,)),
        Tensor("noise", "float32", (6,)),
        Tensor("noise_seeded", "float32", (1,)),
        CONDITION,
    )
    rows = found.rows(range(2), found.fixed)
    assert {name: (row.dtype.name, row.tolist()) for name, row in rows.items()} == {
        "truncation": ("float64", [[0.7]] * 2),
        "truncation_cutoff": ("int64", [[8]] * 2),
        "noise_strength": ("float32", [[1]] * 2),
        "noise": ("float32", [[0] * 6] * 2),
        "noise_seeded": ("float32", [[0]] * 2),
        "condition": ("float32", [[0, 0]] * 2),
    }
    assert found.said == ("truncation 0.7 below layer 8", "conditions of 0")


def test_only_the_wanted_tensors_are_made(tmp_path: Path) -> None:
    assert set(of(tmp_path, LABEL, CONDITION).rows([1], ["condition", "style"])) == {"condition"}


def test_latents_are_scaled_only_where_truncation_scales_the_prior(tmp_path: Path) -> None:
    scaled = Model(name="models/b", truncation=TruncationRange(max=1, default_value=0.4, scales_prior=True))
    assert of(tmp_path, card=scaled).scale == 0.4
    assert of(tmp_path).scale == 1


def test_classes_are_drawn_uniformly_and_by_seed(tmp_path: Path) -> None:
    found = of(tmp_path, LABEL)
    drawn = classes(found)
    assert all(100 < count < 167 for count in Counter(drawn).values())
    assert found.rows([399, 5], ["label"])["label"].argmax(axis=1).tolist() == [drawn[399], drawn[5]]
    assert found.said[-1] == "a class drawn from all 3"


@pytest.mark.parametrize(("chosen", "expected"), [("dog", {1}), ("Cat, 2", {0, 2}), ("2", {2})])
def test_classes_may_be_chosen_by_name_and_by_index(tmp_path: Path, chosen: str, expected: set[int]) -> None:
    assert set(classes(of(tmp_path, LABEL, classes=chosen))) == expected


def test_a_caption_becomes_padded_tokens(tmp_path: Path) -> None:
    words = (Tensor("tokens", "int64", (4,)), Tensor("token_count", "int64", (1,)))
    found = of(tmp_path, *words, caption="A RED bird!")
    rows = found.rows(range(2), found.fixed)
    assert rows["tokens"].tolist() == [[5, 2, 0, 0]] * 2
    assert (rows["tokens"].dtype, rows["token_count"].tolist()) == (np.int64, [[2], [2]])
    assert found.said[-1] == "the caption 'red bird' without a, which the model does not know"
    with pytest.raises(AxesError, match="give --caption"):
        of(tmp_path, *words)


def test_conditioning_noise_is_the_one_that_is_served(tmp_path: Path) -> None:
    rows = of(tmp_path, Tensor("conditioning_noise", "float32", (5,))).rows([3, 9], ["conditioning_noise"])
    expected = np.random.Generator(np.random.Philox(key=[9, 1])).standard_normal(5, dtype=np.float32)
    np.testing.assert_array_equal(rows["conditioning_noise"][1], expected)


def test_a_vector_of_conditions_may_be_given(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.array([[0.5, -1.0]]))
    found = of(tmp_path, CONDITION, condition=tmp_path / "c.npy")
    assert found.rows([0], ["condition"])["condition"].tolist() == [[0.5, -1]]
    assert found.said[-1].startswith("conditions of SHA-256 ")
    np.save(tmp_path / "c.npy", np.zeros(3))
    with pytest.raises(AxesError, match=r"c.npy: a floating-point vector \(2,\)"):
        of(tmp_path, CONDITION, condition=tmp_path / "c.npy")


@pytest.mark.parametrize(
    ("tensors", "given", "message"),
    [
        ((), {"classes": "dog"}, "'models/m' takes no classes"),
        ((), {"caption": "a bird"}, "'models/m' takes no caption"),
        ((), {"condition": Path("c.npy")}, "'models/m' takes no condition"),
        ((LABEL,), {"classes": "horse"}, "has no class 'horse', by name or by index from 0 to 2"),
        ((LABEL,), {"classes": "3"}, "has no class '3'"),
        ((Tensor("label", "float32", (9,)),), {}, "takes 9 classes, and its card names 3"),
        ((Tensor("colour", "float32", (1,)),), {}, "'models/m' also needs colour, which axes have no value for"),
    ],
)
def test_what_a_model_does_not_have_or_nobody_knows_is_refused(
    tmp_path: Path, tensors: tuple[Tensor, ...], given: dict[str, object], message: str
) -> None:
    with pytest.raises(AxesError, match=message):
        of(tmp_path, *tensors, **given)
