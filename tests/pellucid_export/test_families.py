import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from pellucid_export import families, options, zoo
from pellucid_export.errors import FamilyError
from pellucid_export.families import dcgan

pytestmark = pytest.mark.torch


@pytest.fixture
def strangers(tmp_path: Path) -> Iterator[Path]:
    """A folder of somebody else's families."""
    families.__path__.append(str(tmp_path))
    yield tmp_path
    families.__path__.remove(str(tmp_path))


@pytest.mark.parametrize("name", families.names())
def test_every_family_is_named_as_its_module_and_can_be_used_without_options(name: str) -> None:
    family = families.get(name)
    assert family.name == name
    assert family.description
    defaults = options.parse(family, {})
    assert dataclasses.is_dataclass(defaults)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(defaults, next(iter(vars(defaults)), "any"), None)


def test_every_entry_of_the_zoo_has_a_family_that_takes_its_options() -> None:
    for name, entry in zoo.ENTRIES.items():
        assert entry.name == name
        options.parse(families.get(entry.family), entry.options)


def test_an_unknown_family_is_answered_with_the_known_ones() -> None:
    with pytest.raises(FamilyError, match=r"unknown family 'vae'; known: .*dcgan"):
        families.get("vae")


def test_a_family_in_two_folders_is_an_error(strangers: Path) -> None:
    (strangers / "dcgan.py").touch()
    with pytest.raises(FamilyError, match="declared twice: dcgan"):
        families.names()


def test_a_strangers_module_must_declare_a_family_of_its_name(strangers: Path) -> None:
    (strangers / "borrowed.py").write_text("from pellucid_export.families.dcgan import FAMILY\n")
    with pytest.raises(FamilyError, match="'borrowed' must declare FAMILY"):
        families.get("borrowed")


def test_options_are_read_by_their_declared_types() -> None:
    @dataclasses.dataclass(frozen=True)
    class Options:
        size: int = 1
        scale: float = 1.0
        flip: bool = False
        mode: str = "a"

    family = dataclasses.replace(dcgan.FAMILY, options=Options)
    given = {"size": "4", "scale": "0.5", "flip": "true", "mode": "b"}
    assert options.parse(family, given) == Options(4, 0.5, True, "b")
    assert options.describe(family) == ["size=1", "scale=1.0", "flip=False", "mode=a"]
    for name, value in (("size", "four"), ("scale", "wide"), ("flip", "perhaps")):
        with pytest.raises(FamilyError, match=f"option '{name}' must be .*'{value}'"):
            options.parse(family, {name: value})


def test_an_option_outside_its_choices_or_unknown_is_refused() -> None:
    with pytest.raises(FamilyError, match="'pixels' must be one of uint8, float32, not 'int4'"):
        options.parse(dcgan.FAMILY, {"pixels": "int4"})
    with pytest.raises(FamilyError, match="family 'dcgan' has no option 'depth'; it has: pixels"):
        options.parse(dcgan.FAMILY, {"depth": "3"})
