"""The client's commands as pyproject.toml names them, and a way to run them here."""

from importlib.metadata import EntryPoint

import pytest

from pellucid_client.cli import main
from pellucid_client.command_table import GROUP, CommandTable

NAMES = {
    "models.list": "pellucid_client.commands.models:list_models",
    "models.show": "pellucid_client.commands.models:show_model",
    "axes.list": "pellucid_client.commands.axes:list_axes",
    "axes.show": "pellucid_client.commands.axes:show_axis",
    "classes": "pellucid_client.commands.classes:list_classes",
    "generate": "pellucid_client.commands.generate:generate",
    "edit": "pellucid_client.commands.edit:edit",
    "interpolate": "pellucid_client.commands.interpolate:interpolate",
    "analyze": "pellucid_client.commands.analyze:analyze",
    "translate": "pellucid_client.commands.translate:translate",
    "demo": "pellucid_client.demo.command:demo",
}


def table(**more: str) -> CommandTable:
    """The client's commands and some more."""
    names = {**NAMES, **more}
    return CommandTable({tuple(name.split(".")): EntryPoint(name, value, GROUP) for name, value in names.items()})


def run(*words: str, **more: str) -> int:
    """Run a command and return its exit code."""
    try:
        return main(words, table(**more))
    except SystemExit as exit_:
        return int(exit_.code or 0)


def lines(captured: pytest.CaptureFixture[str]) -> list[str]:
    """What was printed since the last look."""
    return captured.readouterr().out.splitlines()
