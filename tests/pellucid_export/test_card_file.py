import re
from pathlib import Path

import pytest

from pellucid.v1.latent_pb2 import SPACE_Z
from pellucid.v1.model_pb2 import (
    LABEL_KIND_PROBABILITY,
    LABEL_KIND_QUANTITY,
    PRIOR_NORMAL,
    PRIOR_SPHERE,
    PRIOR_TRUNCATED_NORMAL,
    TASK_CLASSIFY,
    TASK_GENERATE,
    ClassList,
    ConditioningNoise,
    ConditionVector,
    Label,
    LatentPrior,
    LatentSpace,
    Model,
    TruncationRange,
)
from pellucid_export import card_file
from pellucid_export.card_file import CardFile, InputSpec
from pellucid_export.errors import CheckpointError

pytestmark = pytest.mark.torch


def read(folder: Path, text: str) -> CardFile:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return card_file.read(path)


def test_everything_has_a_default(tmp_path: Path) -> None:
    card = read(tmp_path, "latent: 8\n")
    assert card.model == Model(
        task=TASK_GENERATE,
        latent=LatentPrior(size=8, prior=PRIOR_NORMAL),
        spaces=[LatentSpace(space=SPACE_Z, size=8, layers=1)],
    )
    assert (card.inputs, card.output, card.low, card.high, card.is_channels_last) == ((), None, -1, 1, False)
    assert read(tmp_path, "").model.latent.size == 0


def test_a_card_says_all_that_the_gateway_can_feed(tmp_path: Path) -> None:
    card = read(
        tmp_path,
        """
        task: generate
        latent: {size: 128, prior: truncated_normal, bound: 1.5}
        classes: [cat, dog, "no"]
        condition: {size: 300, description: a sentence's embedding}
        conditioning_noise: 100
        truncation: {min: 0.1, max: 0.9, default: 0.5, scales_prior: true}
        height: 64
        width: 32
        display_name: Mine
        description: Of one's own.
        license: MIT
        source: a test
        """,
    )
    assert card.model == Model(
        task=TASK_GENERATE,
        latent=LatentPrior(size=128, prior=PRIOR_TRUNCATED_NORMAL, truncation_bound=1.5),
        spaces=[LatentSpace(space=SPACE_Z, size=128, layers=1)],
        classes=ClassList(names=["cat", "dog", "no"]),
        condition=ConditionVector(size=300, description="a sentence's embedding"),
        conditioning=ConditioningNoise(size=100),
        truncation=TruncationRange(min=0.1, max=0.9, default_value=0.5, scales_prior=True),
        height=64,
        width=32,
        display_name="Mine",
        description="Of one's own.",
        license="MIT",
        source="a test",
    )


def test_a_card_says_what_is_particular_to_the_network(tmp_path: Path) -> None:
    card = read(
        tmp_path,
        """
        latent: {size: 4, prior: sphere}
        classes: 2
        inputs: {latent: {name: z, shape: [4, 1, 1]}, label: {name: 1, encoding: index}}
        output: 2
        range: 0..255
        layout: nhwc
        """,
    )
    assert card.model.latent.prior == PRIOR_SPHERE
    assert list(card.model.classes.names) == ["class_0", "class_1"]
    assert card.inputs == (InputSpec("latent", "z", (4, 1, 1)), InputSpec("label", 1, None, is_index=True))
    assert (card.output, card.low, card.high, card.is_channels_last) == (2, 0, 255, True)


def test_short_forms_mean_what_the_long_ones_do(tmp_path: Path) -> None:
    short = read(
        tmp_path, "latent: 4\ncondition: 7\ntruncation: {}\ninputs: {latent: z, condition: 1}\noutput: image\n"
    )
    long = read(
        tmp_path,
        "latent: {size: 4, prior: normal}\ncondition: {size: 7}\ntruncation: {min: 0, max: 1, default: 1}\n"
        "inputs: {latent: {name: z}, condition: {name: 1}}\noutput: image\nrange: -1.0..1\n",
    )
    assert short == long


def test_a_classifiers_card_names_its_labels(tmp_path: Path) -> None:
    card = read(
        tmp_path,
        """
        task: classify
        height: 64
        width: 48
        labels: [smiling, {name: age, kind: quantity, unit: years, description: Apparent age.}]
        activation: sigmoid
        range: 0..1
        """,
    )
    assert card.model == Model(
        task=TASK_CLASSIFY,
        height=64,
        width=48,
        labels=[
            Label(name="smiling", kind=LABEL_KIND_PROBABILITY),
            Label(name="age", kind=LABEL_KIND_QUANTITY, unit="years", description="Apparent age."),
        ],
    )
    assert (card.activation, card.low, card.high) == ("sigmoid", 0, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: paint", "mine.yaml: task must be one of generate, classify, not 'paint'"),
        ("latent: many", "mine.yaml: latent.size must be a whole number from 1 to 1048576, not 'many'"),
        ("latent: 0", "mine.yaml: latent.size must be a whole number from 1 to 1048576, not 0"),
        ("latent: 4.0", "latent.size must be a whole number"),
        ("latent: true", "latent.size must be a whole number from 1 to 1048576, not True"),
        (
            "latent: {size: 4, prior: uniform}",
            "latent.prior must be one of normal, truncated_normal, sphere, not 'uniform'",
        ),
        ("latent: {size: 4, bound: 2}", "latent.bound goes with the prior truncated_normal only, not 2"),
        ("latent: {prior: truncated_normal, bound: 0.01}", "latent.bound must be a number from 0.1 to 100, not 0.01"),
        ("latent: {length: 4}", "mine.yaml: latent has the unknown key 'length'; known are size, prior, bound"),
        ("latent: [4]", "latent.size must be a whole number"),
        (
            "classes: [cat, no]",
            r"classes\[1\].name must be a text \(in quotes where it looks like something else\), not False",
        ),
        ("classes: [cat, cat]", "mine.yaml: classes has 'cat' twice"),
        ("classes: []", "classes must list names"),
        ("classes: 0", "classes must be a whole number from 1 to 65536, not 0"),
        ("classes: {cat: 1}", "classes must be a whole number"),
        ("condition: {description: x}", "condition.size must be a whole number from 1 to 1048576; it is missing"),
        ("conditioning_noise: -1", "conditioning_noise must be a whole number from 1 to 1048576, not -1"),
        ("truncation: {min: 2}", "truncation.max must be a number from 2 to 100, not 1.0"),
        ("truncation: {max: 0.5, default: 0.7}", "truncation.default must be a number from 0 to 0.5, not 0.7"),
        ("truncation: {max: .nan}", "truncation.max must be a number from 0 to 100, not nan"),
        ("truncation: {scales_prior: 1}", "truncation.scales_prior must be true or false, not 1"),
        (
            "truncation: 0.7",
            "truncation must be a mapping with some of the keys min, max, default, scales_prior, not 0.7",
        ),
        ("height: 100000", "height must be a whole number from 1 to 16384, not 100000"),
        ("range: [0, 1]", r"range must be two numbers LOW..HIGH, such as -1..1, 0..1 or 0..255, not \[0, 1\]"),
        ("range: 1..0", "range must be two numbers LOW..HIGH"),
        ("range: wide", "range must be two numbers LOW..HIGH"),
        ("layout: hwc", "layout must be one of nchw, nhwc, not 'hwc'"),
        ("output: -1", "output must be a name, or a number from 0 on, not -1"),
        ("inputs: [z]", "inputs must be a mapping with some of the keys latent, label, condition"),
        ("inputs: {noise: z}", "inputs has the unknown key 'noise'; known are latent, label, condition"),
        ("inputs: {latent: {encoding: index}}", "inputs.latent has the unknown key 'encoding'; known are name, shape"),
        ("inputs: {label: {encoding: word}}", "inputs.label.encoding must be one of one_hot, index, not 'word'"),
        ("inputs: {latent: {shape: 4}}", "inputs.latent.shape must list the lengths of up to 8 axes without the batch"),
        ("inputs: {latent: {shape: [4, 0]}}", "inputs.latent.shape must list the lengths"),
        ("inputs: {latent: {shape: [4096, 4096]}}", "for up to 1048576 numbers, not"),
        ("labels: [a]", "mine.yaml has the unknown key 'labels'; known are task, inputs, output, range"),
        ("license: 2", "license must be a text"),
        ("task: classify\nlabels: [a]", "height must be a whole number from 1 to 16384; it is missing"),
        ("task: classify\nheight: 4\nwidth: 4", "labels must list names, or mappings with the keys name, kind, unit"),
        (
            "task: classify\nheight: 4\nwidth: 4\nlabels: [{unit: m}]",
            r"labels\[0\].name must be a text .*; it is missing",
        ),
        ("task: classify\nheight: 4\nwidth: 4\nlabels: [a, a]", "labels has 'a' twice"),
        ("task: classify\nlatent: 4", "mine.yaml has the unknown key 'latent'; known are .*labels, activation"),
        ("latent: [", "mine.yaml: not readable as YAML: .*line 1"),
        ("- latent", "mine.yaml must be a mapping with some of the keys task"),
        (
            "!!python/object/apply:os.system ['true']",
            "mine.yaml: not readable as YAML: could not determine a constructor",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_field_and_limits(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read(tmp_path, text)


def test_a_card_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent.yaml: no such file"):
        card_file.read(tmp_path / "absent.yaml")
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match=r"mine.yaml: not readable as YAML"):
        card_file.read(tmp_path / "mine.yaml")


def test_the_example_of_the_module_is_a_card(tmp_path: Path) -> None:
    """Without its alternatives and a classifier's keys."""
    assert card_file.__doc__ is not None
    example = [line for line in card_file.__doc__.splitlines()[2:] if "labels" not in line and "activation" not in line]
    card = read(tmp_path, "\n".join(line.split(" #")[0] for line in example))
    assert (card.model.latent.size, list(card.model.classes.names)) == (128, ["cat", "dog"])
    assert card.inputs[1] == InputSpec("label", "y", None, is_index=True)


def test_the_cards_of_the_documentation_are_cards(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "models" / "custom.md").read_text(encoding="utf-8")
    shoes, index, classifier = (read(tmp_path, text) for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))
    assert (shoes.model.latent.size, shoes.inputs[1], shoes.model.display_name) == (
        128,
        InputSpec("label", "y"),
        "Shoes",
    )
    assert index.inputs == (InputSpec("latent", "z", (100, 1, 1)), InputSpec("label", "y", is_index=True))
    assert [label.unit for label in classifier.model.labels] == ["", "years"]
