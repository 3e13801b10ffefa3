from pathlib import Path

import pytest

from pellucid_export.axes.world import World, open_extractor, open_generator
from pellucid_export.repository import Repository

from . import arithmetic


@pytest.fixture
def models(tmp_path: Path) -> Repository:
    return arithmetic.build(tmp_path / "models")


@pytest.fixture
def world(models: Repository) -> World:
    return World(open_generator(models, "dots"), [open_extractor(models, "reader")])
