import json
from pathlib import Path

import numpy as np
import pytest

from pellucid.v1.latent_pb2 import SPACE_W
from pellucid_export.axes import ledger
from pellucid_export.axes.conditions import Given
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.generator import open_generator
from pellucid_export.axes.ledger import Ledger
from pellucid_export.axes.spaces import Region
from pellucid_export.axes.world import World, open_extractor
from pellucid_export.repository import Repository

pytestmark = pytest.mark.torch


def test_what_was_computed_is_computed_once(tmp_path: Path) -> None:
    calls: list[int] = []

    def compute() -> np.ndarray:
        calls.append(1)
        return np.arange(6.0).reshape(3, 2)

    first = Ledger(tmp_path, {"seed": 3}).labels("a", compute)
    again = Ledger(tmp_path, {"seed": 3}).labels("a", compute)
    assert (first.tolist(), again.tolist(), calls) == ([[0, 1], [2, 3], [4, 5]], [[0, 1], [2, 3], [4, 5]], [1])


def test_a_computation_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        Ledger(tmp_path, {}).labels("a", lambda: np.array(1 / 0))
    assert [path.name for path in tmp_path.iterdir()] == ["fingerprint.json"]


def test_labels_of_another_run_or_of_unknown_origin_are_not_taken(tmp_path: Path) -> None:
    Ledger(tmp_path / "known", {"seed": 3, "chunk": 1})
    with pytest.raises(AxesError, match="holds labels of another seed: choose another folder"):
        Ledger(tmp_path / "known", {"seed": 4, "chunk": 1})
    np.save(tmp_path / "labels-000000000-10.npy", np.zeros((10, 3)))
    with pytest.raises(AxesError, match="of unknown origin"):
        Ledger(tmp_path, {"seed": 3})


def test_the_fingerprint_names_generator_and_extractors_by_digest(world: World, tmp_path: Path) -> None:
    Ledger(tmp_path, ledger.fingerprint(world, 3))
    found = json.loads((tmp_path / "fingerprint.json").read_text())
    assert found["weights"] == world.generator.digest
    assert found["extractors"] == {"reader": world.extractors[0].digest}
    assert ledger.work_folder(world, 3, tmp_path) != ledger.work_folder(world, 4, tmp_path)


def test_labels_are_shared_between_spaces_and_not_between_classes(styled: Repository, tmp_path: Path) -> None:
    def folder(region: Region = Region(), given: Given = Given()) -> Path:  # noqa: B008
        world = World(open_generator(styled, "classes", region=region, given=given), [open_extractor(styled, "reader")])
        return ledger.work_folder(world, 3, tmp_path)

    assert folder(Region(SPACE_W)) == folder()
    assert folder(given=Given(classes="dog")) != folder()
