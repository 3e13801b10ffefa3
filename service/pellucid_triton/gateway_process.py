"""The gateway as a supervised child process."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pellucid_triton.addresses import Address, choose_ports
from pellucid_triton.errors import StartError
from pellucid_triton.guarded_process import GuardedProcess
from pellucid_triton.logs import last_lines


class GatewayProcess:
    """Runs a gateway at `address` (`host:port`) in front of a Triton; metrics and probes are at `admin_address`.

    Ports 0 take free ones at the first start, and keep them over restarts; until then the addresses show 0.
    `module` may name another program that reads the same variables and answers grpc.health.v1.
    """

    name = "gateway"

    def __init__(
        self,
        address: str,
        triton_address: str,
        repository: Path,
        log_file: Path,
        module: str = "pellucid_gateway",
        timeout_s: float = 60.0,
        grace_s: float = 20.0,
        *,
        admin_address: str = "127.0.0.1:0",
    ) -> None:
        self._address, self._admin = Address.parse(address), Address.parse(admin_address)
        self.address, self.admin_address = address, admin_address
        self.log_file = log_file
        self._command = (sys.executable, "-m", module)
        self._variables = {
            "PELLUCID_TRITON_ADDRESS": triton_address,
            "PELLUCID_MODEL_REPOSITORY": str(repository.resolve()),
        }
        self._timeout_s = timeout_s
        self._grace_s = grace_s
        self._process: GuardedProcess | None = None

    @property
    def pid(self) -> int | None:
        """The PID of the last gateway started, or None before the first."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the gateway and return when its health service says SERVING.

        Raises InvalidSettingError where its address cannot be listened on, and StartError.
        """
        chosen, admin = choose_ports([self._address, self._admin])
        self.address, self.admin_address = str(chosen), str(admin)
        variables = {**os.environ, **self._variables}
        variables |= {"PELLUCID_ADDRESS": self.address, "PELLUCID_ADMIN_ADDRESS": self.admin_address}
        self._process = GuardedProcess(self._command, variables, self.log_file, self._grace_s)
        try:
            self._wait_until_serving()
        except BaseException:
            self.stop()
            raise
        self._address, self._admin = chosen, admin

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return the gateway's exit status once it has ended, or None when the time is over first."""
        return self._process.wait(timeout_s) if self._process else None

    def stop(self) -> int | None:
        """Stop the gateway, which drains within its grace, and return its exit status."""
        return self._process.stop() if self._process else None

    def _wait_until_serving(self) -> None:
        deadline = time.monotonic() + self._timeout_s
        # The gateway is on this machine: a proxy of the environment must not come between.
        options = [("grpc.enable_http_proxy", 0), ("grpc.max_reconnect_backoff_ms", 200)]
        with grpc.insecure_channel(self.address, options=options) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            is_serving = False
            while not is_serving:
                is_serving = _is_serving(stub)
                # Asked in any case: somebody else may be who answers at the address.
                status = self.wait(0.05)
                if status is not None:
                    raise StartError(f"the gateway ended with status {status}: {last_lines(self.log_file)}")
                if not is_serving and time.monotonic() > deadline:
                    reason = f"the gateway was not serving within {self._timeout_s:g} s"
                    raise StartError(f"{reason}: {last_lines(self.log_file)}")


def _is_serving(stub: Any) -> bool:
    try:
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=2.0)
    except grpc.RpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
