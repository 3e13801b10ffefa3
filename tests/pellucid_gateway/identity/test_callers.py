import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from pellucid_gateway.errors import Unauthenticated
from pellucid_gateway.identity import api_keys
from pellucid_gateway.identity.callers import Callers
from pellucid_gateway.identity.callers_file import CallersFileError
from tests.pellucid_gateway.identity import roster

KEY = api_keys.create_key()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return roster.write(tmp_path / "callers.yaml", roster.caller("a", KEY))


def test_without_a_file_nobody_is_known() -> None:
    with pytest.raises(Unauthenticated):
        Callers(None).directory.by_key(KEY, 0)


def test_a_file_that_is_bad_from_the_start_is_an_error(path: Path) -> None:
    path.write_text("callers: 1")
    with pytest.raises(CallersFileError):
        Callers(path)


async def test_a_changed_file_is_read_again(path: Path) -> None:
    callers = Callers(path)
    roster.write(path, roster.caller("b", KEY))
    await callers.refresh()
    assert callers.directory.by_key(KEY, 0).name == "b"


async def test_an_unchanged_file_is_not_read_again(path: Path) -> None:
    callers = Callers(path)
    before = callers.directory
    await callers.refresh()
    assert callers.directory is before


@pytest.mark.parametrize("text", ["callers: [", "callers: 1", None])
async def test_a_file_that_has_become_bad_leaves_the_callers_and_is_logged_once(path: Path, text: str | None) -> None:
    callers = Callers(path)
    roster.spoil(path, text)
    with capture_logs() as logs:
        await callers.refresh()
        await callers.refresh()
    assert callers.directory.by_key(KEY, 0).name == "a"
    assert [(line["event"], line["log_level"]) for line in logs] == [("callers kept as they were", "error")]


async def test_a_file_that_is_mended_is_read(path: Path) -> None:
    callers = Callers(path)
    roster.spoil(path, "callers: [")
    await callers.refresh()
    roster.write(path, roster.caller("b", KEY))
    await callers.refresh()
    assert callers.directory.by_key(KEY, 0).name == "b"


async def test_a_watch_sees_changes_by_itself(path: Path) -> None:
    callers = Callers(path)
    watch = asyncio.create_task(callers.watch(0.001))
    roster.write(path, roster.caller("b", KEY))
    async with asyncio.timeout(10):
        while callers.directory.by_key(KEY, 0).name == "a":  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)
    watch.cancel()
