"""Every model of the zoo, fetched, exported and checked as a user would."""

from collections.abc import Callable

import numpy as np
import pytest

from pellucid.v1.model_pb2 import DETERMINISM_EXACT, Model
from pellucid_export import card, exporter, runtime, zoo
from pellucid_export.exporter import Exported
from pellucid_export.form import About, Form
from pellucid_export.repository import Repository
from pellucid_export.verify import verify

pytestmark = pytest.mark.torch

Get = Callable[[str], Exported]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def exported(models: Repository) -> Get:
    """Exports an entry of the zoo, each once."""
    known: dict[str, Exported] = {}

    def get(name: str) -> Exported:
        if name not in known:
            entry = zoo.ENTRIES[name]
            about = About(entry.display_name, entry.description, entry.license, entry.source)
            form = Form(entry.family, zoo.digest(entry), name, entry.options, about=about)
            known[name] = exporter.export(models, name, form, zoo.fetch(entry))
        return known[name]

    return get


@pytest.mark.parametrize("name", zoo.ENTRIES)
def test_the_card_comes_back_and_says_where_the_weights_come_from(exported: Get, models: Repository, name: str) -> None:
    exported(name)
    found = models.card(name)
    assert card.from_json(card.to_json(found)) == found
    assert (found.license, found.source) == (zoo.ENTRIES[name].license, zoo.ENTRIES[name].source)
    assert found.task != Model().task
    assert (found.height > 0, found.width > 0, found.max_batch_size) == (True, True, 16)


@pytest.mark.parametrize("name", zoo.ENTRIES)
def test_the_graph_follows_the_network_in_any_batch(exported: Get, models: Repository, name: str) -> None:
    exported(name)
    results = verify(models, name)
    assert [result.fault for result in results] == [""] * len(results)
    for result in results:
        assert result.measured.parity.max_error <= result.measured.parity.tolerance


def test_digiface_is_exact(exported: Get) -> None:
    assert exported("digiface").version.determinism == DETERMINISM_EXACT


def test_digiface_gives_byte_identical_rows_with_any_neighbours(exported: Get) -> None:
    run = runtime.open_model(exported("digiface").directory)
    latent = np.random.default_rng(11).standard_normal((48, 100), dtype=np.float32)
    alone = np.concatenate([run({"latent": latent[row : row + 1]})["image"] for row in range(48)])
    for start in range(0, 48, 16):
        batch = run({"latent": latent[start : start + 16][::-1]})["image"][::-1]
        np.testing.assert_array_equal(batch, alone[start : start + 16])


def test_digiface_shows_different_faces_of_full_contrast(exported: Get) -> None:
    run = runtime.open_model(exported("digiface").directory)
    images = run({"latent": np.random.default_rng(1).standard_normal((16, 100), dtype=np.float32)})["image"]
    assert images.shape == (16, 64, 64, 3)
    assert images.std(axis=0).mean() > 30
    assert images.std(axis=(1, 2, 3)).mean() > 30
