"""What the soak found is told at the end."""

import pytest

from tests.e2e.conftest import repository

__all__ = ["repository"]
TOLD = pytest.StashKey[list[str]]()


@pytest.fixture
def told(pytestconfig: pytest.Config) -> list[str]:
    """Lines for the end of the run."""
    return pytestconfig.stash.setdefault(TOLD, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(TOLD, []):
        terminalreporter.write_line(line)
