"""The disk of logs, temporary files and metrics is full while requests come in."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pellucid_client.demo.stack import Stack
from tests.e2e.conftest import START_TIMEOUT_S
from tests.faults.conftest import Broken, Gateways, Loading, in_thread
from tests.faults.small_disk import SmallDisk

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
MEGABYTES = 64


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    try:
        with SmallDisk.mounted(tmp_path / "disk", MEGABYTES) as mounted:
            yield mounted
    except subprocess.CalledProcessError as error:
        pytest.skip(f"a small disk cannot be mounted here: {error.stderr.decode().strip()}")


@pytest.fixture
def cramped(disk: SmallDisk, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broken]:
    """A stack whose logs and temporary files are on the small disk."""
    monkeypatch.setenv("TMPDIR", str(disk.folder))
    monkeypatch.setenv("PELLUCID_LOG_LEVEL", "DEBUG")
    command = [sys.executable, "-m", "pellucid_client", "up", "--json", "--edge", "", "--repository", str(repository)]
    command += ["--address", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-file", str(disk.folder / "triton.log")]
    with Stack(command, tmp_path / "log", START_TIMEOUT_S) as stack:
        yield Broken(stack)


async def test_disk_full_for_logs_and_temporary_files(
    cramped: Broken, disk: SmallDisk, loading: Loading, enough: int
) -> None:
    async with loading(cramped.gateway) as load:
        await load.answers(enough)
        disk.fill()
        await load.answers(enough)
        assert not load.tally.refused
        gateway = cramped.gateway_process()
        gateway.kill()
        await load.until(lambda: not gateway.is_running())
        await load.answers(enough)
        # Triton needs room to start: it comes back when there is some.
        cramped.triton().kill()
        before = load.tally.refused.total()
        await load.until(lambda: load.tally.refused.total() > before + 20)
        disk.empty()
        await load.answers(enough)
    assert len(list(disk.folder.glob("pellucid-triton-*"))) == 1


async def test_disk_full_for_metrics(disk: SmallDisk, loading: Loading, gateway_of: Gateways, enough: int) -> None:
    gateway = await in_thread(gateway_of, PELLUCID_WORKERS="2", PROMETHEUS_MULTIPROC_DIR=str(disk.folder))
    values = [file.stat() for file in disk.folder.glob("*.db")]
    assert values
    assert all(value.st_blocks * 512 >= value.st_size for value in values), "written where no room is reserved"
    disk.fill()
    before = psutil.Process(gateway.process.pid).children()
    async with loading(gateway.address) as load:
        await load.answers(2 * enough)
    assert not load.tally.refused
    assert psutil.Process(gateway.process.pid).children() == before
