"""The one command: every subcommand that the package declares can be loaded."""

from importlib.metadata import entry_points

import pytest

COMMANDS = sorted(entry_points(group="pellucid.commands"), key=lambda entry: entry.name)


def test_the_package_declares_its_commands() -> None:
    assert {"generate", "edit", "axes.fit", "up", "export"} <= {entry.name for entry in COMMANDS}


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_every_declared_command_can_be_loaded_and_says_what_it_does(entry: object) -> None:
    command = entry.load()
    assert callable(command)
    assert command.__doc__
