from typing import Any

import numpy as np
import pytest

from pellucid.v1 import translation_service_pb2 as pb
from pellucid_client import Change, InvalidRequest, Style
from pellucid_client.targets import target_messages


def domain(*names: str, of: str = "", **values: float) -> pb.Target:
    return pb.Target(domain=pb.DomainTarget(set=of, change=names, values=values))


@pytest.mark.parametrize(
    ("given", "targets"),
    [
        ({}, []),
        ({"to": "hat"}, [domain("hat")]),
        ({"to": ("hat", "fair")}, [domain("hat"), domain("fair")]),
        ({"to": (name for name in ("hat", "fair"))}, [domain("hat"), domain("fair")]),
        ({"to": Change("hat", "fair", of="looks")}, [domain("hat", "fair", of="looks")]),
        ({"to": {"hat": True, "fair": 0.5}}, [domain(hat=1, fair=0.5)]),
        ({"to": [{"hat": 1}, Change("fair", values={"hat": 0})]}, [domain(hat=1), domain("fair", hat=0)]),
        ({"cycle": True}, [pb.Target(cycle=True)]),
        ({"direction": "there", "cycle": True}, [pb.Target(direction="there", cycle=True)]),
        ({"direction": ["there", "back"]}, [pb.Target(direction="there"), pb.Target(direction="back")]),
        ({"dropout_seed": 0}, [pb.Target(dropout_seed=0)]),
        ({"dropout_seed": range(2)}, [pb.Target(dropout_seed=0), pb.Target(dropout_seed=1)]),
        ({"dropout_seed": np.array([2**63], np.uint64)}, [pb.Target(dropout_seed=2**63)]),
        ({"style": Style()}, [pb.Target(style=pb.StyleTarget())]),
        ({"style": [Style(0), Style(clusters={5: 1})]}, [{"style": {"seed": 0}}, {"style": {"clusters": {5: 1}}}]),
        ({"direction": ["a", "b"], "dropout_seed": 3}, [{"direction": d, "dropout_seed": 3} for d in "ab"]),
        ({"direction": "ab", "dropout_seed": [3]}, [{"direction": "ab", "dropout_seed": 3}]),
    ],
)
def test_what_is_given_several_times_is_a_target_each(given: dict[str, Any], targets: list[Any]) -> None:
    wanted = [pb.Target(**target) if isinstance(target, dict) else target for target in targets]
    assert target_messages(**given) == wanted


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"to": ["a", "b", "c"], "style": [Style(1), Style(2)]}, "style: 2 are given for 3 targets"),
        ({"to": []}, "to: 0 are given for 1 targets"),
        ({"dropout_seed": [], "direction": ["a", "b"]}, "dropout_seed: 0 are given for 2 targets"),
        ({"dropout_seed": 2**64}, r"dropout_seed: 18446744073709551616 is not within 0\.\.2\^64-1"),
        ({"style": Style(-1)}, r"style\.seed: -1 is not within"),
        ({"style": Style(example=np.zeros((4, 4)))}, r"style\.example: float64 \(4, 4\)"),
    ],
)
def test_targets_that_do_not_match_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        target_messages(**given)


def test_a_change_is_compared_by_its_value() -> None:
    assert Change("hat", values={"fair": 1}) == Change("hat", values={"fair": 1})
    assert Change("hat") != Change("hat", of="looks")
