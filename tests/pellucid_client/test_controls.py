from typing import Any

import numpy as np
import pytest

from pellucid.v1 import image_pb2
from pellucid_client import Controls, InvalidRequest, StyleMix


def test_controls_become_the_fields_of_the_contract() -> None:
    message = Controls(
        classes=["cat", 3],
        conditioning_noise=np.array([0.5, -1.0]),
        condition=(1, 2, 3),
        truncate_caption=False,
        style_mixes=[StyleMix(5, 0, 3)],
    ).message(image_pb2.SAMPLER_OFFICIAL)
    assert [one.WhichOneof("class") for one in message.classes] == ["name", "index"]
    assert list(message.conditioning_noise) == [0.5, -1]
    assert list(message.condition) == [1, 2, 3]
    assert (message.HasField("truncate_caption"), message.truncate_caption) == (True, False)
    assert message.style_mixes[0].source == image_pb2.Source(seed=5, sampler=image_pb2.SAMPLER_OFFICIAL)


def test_what_is_not_given_is_absent() -> None:
    assert Controls().message().ListFields() == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"condition": np.zeros((1, 3))}, "controls.condition"),
        ({"condition": []}, "controls.condition"),
        ({"conditioning_noise": 1.0}, "controls.conditioning_noise"),
        ({"style_mixes": [StyleMix(np.array([1, 2]), 0, 3)]}, "controls.style_mixes"),
        ({"style_mixes": [StyleMix("7", 0, 3)]}, "controls.style_mixes"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Controls(**given).message()
    assert caught.value.violations[0].field == field
