"""One run of `tritonserver` after another, always at the same addresses.

1. `start` makes the environment (environment.py) where it is missing, and sweeps the shared memory of
   launchers that are dead.
2. It chooses the ports, assembles a runtime directory and starts the server under a guardian that cleans up
   behind it.
3. It waits until the server answers: by then every model is loaded or has failed, with its reason.
4. It sends a known tensor through a model of its own (selfcheck.py).
5. `wait` tells when the server ended; `stop` ends it. After either, `start` may be called again.
"""

import logging
import os
import shlex
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import grpc

from pellucid_triton.addresses import Address, choose_ports
from pellucid_triton.control import Control, ModelStatus
from pellucid_triton.cores import usable_cores
from pellucid_triton.environment import Environment, LockName, ensure_environment
from pellucid_triton.errors import StartError
from pellucid_triton.guarded_process import GuardedProcess
from pellucid_triton.logs import default_log_file, last_lines
from pellucid_triton.repository import model_names, wants_pytorch
from pellucid_triton.runtime_directory import RuntimeDirectory
from pellucid_triton.selfcheck import run_self_check, write_repository
from pellucid_triton.settings import Settings
from pellucid_triton.shared_memory import new_prefix, sweep_dead_launchers

_STUB_TIMEOUT_S = 120  # importing torch from a cold disk takes longer than the default of 30
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Addresses:
    """Where a server listens, as `host:port`."""

    grpc: str
    http: str
    metrics: str


class TritonServer:
    """An embedded Triton.

    Ports given as 0 are chosen when it is started, and kept over restarts once a start has succeeded; until
    then `addresses` shows them as 0.
    """

    name = "triton"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        ports = (settings.grpc_port, settings.http_port, settings.metrics_port)
        self._wanted = self._chosen = tuple(Address(settings.host, port) for port in ports)
        self.log_file = settings.log_file or default_log_file(settings.cache_dir)
        self._process: GuardedProcess | None = None

    @property
    def addresses(self) -> Addresses:
        """Where the last server started listens."""
        return Addresses(*map(str, self._chosen))

    @property
    def pid(self) -> int | None:
        """The PID of the last `tritonserver` started, or None before the first."""
        return self._process.pid if self._process else None

    def prepare(self) -> Environment:
        """Make the environment that the repository's models need, unless it is there; raises EnvironmentBuildError."""
        return ensure_environment(_lock_name(self._settings.repository), self._settings.cache_dir)

    def start(self) -> None:
        """Start the server and return when it is ready and proven.

        Raises EnvironmentBuildError, InvalidSettingError where a port is in use, or StartError with the end of
        the log; nothing is left running then. Models that fail to load do not fail the start: see `models`.
        """
        environment = self.prepare()
        sweep_dead_launchers()
        self._chosen = choose_ports(self._wanted)
        private_repository = self._launch(environment)
        try:
            self._wait_until_ready(private_repository)
            models = self.models()
        except BaseException:
            self.stop()
            raise
        self._wanted = self._chosen
        for model in models:
            if model.reason:
                _log.warning("model %s (version %s): %s", model.name, model.version or "none", model.reason)

    def models(self) -> list[ModelStatus]:
        """Return the state of every model of the repository, with the reason where loading failed.

        Raises StartError when the server does not say.
        """
        control = Control(self.addresses.grpc)
        try:
            return control.models()
        except grpc.RpcError as error:
            raise StartError(f"Triton does not list its models: {error.details()}") from error
        finally:
            control.close()

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return the server's exit status once it has ended, or None when the time is over first."""
        return self._process.wait(timeout_s) if self._process else None

    def stop(self) -> int | None:
        """Stop the server, cleanly if it can within the grace, and return its exit status.

        No process, shared memory or temporary file of it is left. None when it was never started. Another
        thread that is in `start` or `wait` returns from it.
        """
        return self._process.stop() if self._process else None

    def _launch(self, environment: Environment) -> Path:
        threads = self._settings.threads or usable_cores()
        shared_memory = new_prefix()
        with RuntimeDirectory(environment) as runtime:
            variables = runtime.environment_variables(os.environ, threads)
            runtime.check_stub(variables)
            private_repository = write_repository(runtime.path)
            repositories = (runtime.link_repository(self._settings.repository), private_repository)
            self._process = GuardedProcess(
                self._command(environment, runtime.backends, repositories, shared_memory),
                variables,
                self.log_file,
                self._settings.stop_grace_s,
                scratch=runtime.hand_over(),
                shared_memory=shared_memory,
            )
        return private_repository

    def _command(
        self, environment: Environment, backends: Path, repositories: Iterable[Path], shared_memory: str
    ) -> list[str]:
        settings = self._settings
        grpc_port, http_port, metrics_port = (address.port for address in self._chosen)
        # The server's gRPC and HTTP libraries have different spellings for an IPv6 address.
        is_ipv6 = ":" in settings.host
        http_host = f"ipv6:{settings.host}" if is_ipv6 else settings.host
        options = {
            "grpc-address": f"[{settings.host}]" if is_ipv6 else settings.host,
            "grpc-port": grpc_port,
            "http-address": http_host,
            "http-port": http_port,
            "metrics-address": http_host,
            "metrics-port": metrics_port,
            "allow-gpu-metrics": "false",
            "backend-directory": backends,
            "model-control-mode": "explicit",
            # One broken model must not keep the others from serving, nor make the server unready.
            "exit-on-error": "false",
            "strict-readiness": "false",
            "exit-timeout-secs": max(1, int(settings.stop_grace_s)),
            "log-format": "ISO8601",
        }
        command = [str(environment.triton / "bin" / "tritonserver")]
        command += [f"--{name}={value}" for name, value in options.items()]
        # Configurations here are complete; completing them would start every backend twice.
        command += ["--disable-auto-complete-config"]
        command += [f"--model-repository={path}" for path in repositories]
        command += [f"--load-model={name}" for name in _loadable(settings.models or model_names(settings.repository))]
        if settings.trace_endpoint:
            # At rate 0 only what comes with a trace is traced.
            url = f"opentelemetry,url={settings.trace_endpoint.rstrip('/')}/v1/traces"
            options_of_traces = ("mode=opentelemetry", "rate=0", "level=TIMESTAMPS", url)
            command += [f"--trace-config={option}" for option in options_of_traces]
        command += [f"--backend-config=python,shm-region-prefix-name={shared_memory}"]
        return [*command, f"--backend-config=python,stub-timeout-seconds={_STUB_TIMEOUT_S}"]

    def _wait_until_ready(self, private_repository: Path) -> None:
        deadline = time.monotonic() + self._settings.start_timeout_s
        control = Control(self.addresses.grpc)
        try:
            while not control.is_live():
                self._check_is_running()
                if time.monotonic() > deadline:
                    reason = f"Triton was not ready within {self._settings.start_timeout_s:g} s"
                    raise StartError(f"{reason}: {last_lines(self.log_file)}")
            # Somebody else may be who answered at the address.
            self._check_is_running()
            run_self_check(control, private_repository, max(1.0, deadline - time.monotonic()))
        finally:
            control.close()

    def _check_is_running(self) -> None:
        status = self.wait(0.05)
        if status is not None:
            raise StartError(f"Triton ended with status {status} while starting: {last_lines(self.log_file)}")


def _loadable(models: Iterable[str]) -> Iterator[str]:
    for name in models:
        # NOTE: the server passes the name through a shell without quoting it; its stub then takes the server down.
        if shlex.quote(name) == name:
            yield name
        else:
            _log.warning("model %r is not loaded: its name is not of letters, digits and ._-", name)


def _lock_name(repository: Path) -> LockName:
    if not wants_pytorch(repository):
        return "onnxruntime"
    if find_spec("torch") is None:
        _log.warning("%s holds TorchScript models; they are not served, because torch is not installed", repository)
        return "onnxruntime"
    return "pytorch"
