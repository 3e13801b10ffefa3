import json
import os
from collections import Counter
from pathlib import Path

import pytest
from upath import UPath

from pellucid_gateway import traffic
from pellucid_gateway.errors import InvalidRequest, Refused

IDS = [f"request-{k}" for k in range(10_000)]


def chosen(weights: dict[str, int], ready: tuple[str, ...] = ("1", "2", "3")) -> list[str]:
    return [traffic.choose(weights, ready, one) for one in IDS]


def moved(before: list[str], after: list[str]) -> Counter[tuple[str, str]]:
    return Counter(pair for pair in zip(before, after, strict=True) if pair[0] != pair[1])


@pytest.mark.parametrize("weights", [{"1": 95, "2": 5}, {"1": 1, "2": 1, "3": 2}, {"1": 999, "3": 1}])
def test_requests_are_shared_out_by_weight(weights: dict[str, int]) -> None:
    counts, total = Counter(chosen(weights)), sum(weights.values())
    assert counts.keys() == weights.keys()
    for version, weight in weights.items():
        assert counts[version] == pytest.approx(len(IDS) * weight / total, rel=0.1, abs=15)


def test_a_request_s_id_decides_its_version() -> None:
    weights = {"1": 1, "2": 1}
    assert [traffic.choose(weights, {"1", "2"}, f"r{k}") for k in range(8)] == ["2", "1", "2", "2", "1", "2", "1", "1"]


def test_a_greater_weight_takes_requests_and_moves_no_others() -> None:
    before, after = chosen({"1": 90, "2": 10, "3": 10}), chosen({"1": 90, "2": 50, "3": 10})
    assert {pair[1] for pair in moved(before, after)} == {"2"}


def test_a_version_that_is_not_ready_leaves_its_requests_to_the_others_and_moves_no_more() -> None:
    weights = {"1": 50, "2": 30, "3": 20}
    before, after = chosen(weights), chosen(weights, ready=("1", "3"))
    assert {pair[0] for pair in moved(before, after)} == {"2"}
    assert Counter(after)["1"] == pytest.approx(10_000 * 5 / 7, rel=0.1)


@pytest.mark.parametrize("weights", [{}, {"9": 1}, {"1": 0, "9": 1}])
def test_without_a_weight_for_a_ready_version_there_is_no_choice(weights: dict[str, int]) -> None:
    assert traffic.choose(weights, {"1", "2"}, "r") == ""
    assert traffic.heaviest(weights, {"1", "2"}) == ""


def test_a_weight_of_nothing_gets_nothing() -> None:
    assert set(chosen({"1": 1, "2": 0})) == {"1"}


def test_the_heaviest_version_is_the_newest_of_equal_ones() -> None:
    assert traffic.heaviest({"1": 5, "2": 95}, {"1", "2"}) == "2"
    assert traffic.heaviest({"1": 5, "2": 95}, {"1"}) == "1"
    assert traffic.heaviest({"9": 5, "10": 5}, {"9", "10"}) == "10"


@pytest.fixture(params=["local", "memory"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> UPath:
    found = UPath(tmp_path) if request.param == "local" else UPath(f"memory://{tmp_path}")
    found.mkdir(parents=True, exist_ok=True)
    return found


def test_what_is_written_is_read_and_can_be_replaced_and_removed(repository: UPath) -> None:
    assert traffic.read(repository, "paint") == {}
    traffic.write(repository, "paint", {"1": 95, "2": 5})
    assert traffic.read(repository, "paint") == {"1": 95, "2": 5}
    traffic.write(repository, "paint", {"2": 1})
    assert traffic.read(repository, "paint") == {"2": 1}
    assert [file.name for file in repository.iterdir()] == ["paint.traffic.json"]
    traffic.write(repository, "paint", {})
    traffic.write(repository, "paint", {})
    assert traffic.read(repository, "paint") == {}
    assert list(repository.iterdir()) == []


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({"1": -1}, r"weights\[1\]: -1 is no whole number from 0 to 1000000 for a version"),
        ({"1": 0.5}, r"weights\[1\]: 0\.5 is no whole number"),
        ({"1": True}, r"weights\[1\]: True is no whole number"),
        ({"1": 1_000_001}, r"weights\[1\]: 1000001 is no whole number"),
        ({"one": 1}, r"weights\[one\]: 1 is no whole number .* for a version"),
        ({"1": 0, "2": 0}, "weights: one must be above 0"),
        ({str(k): 1 for k in range(17)}, "weights of 1 to 16 versions are needed"),
    ],
)
def test_weights_that_cannot_be_meant_are_refused_and_not_read(
    tmp_path: Path, weights: dict[str, int], reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        traffic.write(UPath(tmp_path), "paint", weights)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "paint.traffic.json").write_text(json.dumps(weights))
    assert traffic.read(UPath(tmp_path), "paint") == {}


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", "null", '{"1": "95"}'])
def test_a_file_that_cannot_be_understood_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "paint.traffic.json").write_text(text)
    assert traffic.read(UPath(tmp_path), "paint") == {}


def test_a_repository_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match=r"paint\.traffic\.json cannot be written: Not a directory") as caught:
        traffic.write(UPath(tmp_path / "file"), "paint", {"1": 1})
    assert caught.value.reason == "REPOSITORY_READ_ONLY"
    assert os.listdir(tmp_path) == ["file"]
