from pathlib import Path

import pytest

from pellucid_export.axes.generator import open_generator
from pellucid_export.axes.world import World, open_extractor
from pellucid_export.repository import Repository

from . import arithmetic, toys


@pytest.fixture
def models(tmp_path: Path) -> Repository:
    return arithmetic.build(tmp_path / "models")


@pytest.fixture
def world(models: Repository) -> World:
    return World(open_generator(models, "dots"), [open_extractor(models, "reader")])


@pytest.fixture(scope="session")
def styled(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository with `styled`, the same with classes, `captioned`, and what `arithmetic` builds."""
    repository = arithmetic.build(tmp_path_factory.mktemp("styled") / "models")
    toys.export(repository, "toy_styled", "styled")
    toys.export(repository, "toy_styled", "classes", classes="true")
    toys.export(repository, "toy_captioned", "captioned")
    return repository
