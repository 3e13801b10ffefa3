"""The commands `pellucid triton` and `pellucid up`.

They are plain functions with typer's annotations; the `pellucid` command registers them through the entry
point group `pellucid.commands`.
"""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pellucid_triton.addresses import Address, choose_ports
from pellucid_triton.control import ModelStatus
from pellucid_triton.errors import LauncherError
from pellucid_triton.gateway_process import GatewayProcess
from pellucid_triton.server import TritonServer
from pellucid_triton.settings import Settings
from pellucid_triton.supervisor import Service, Supervisor

_Repository = Annotated[Path, typer.Option(help="Directory of model directories.", envvar="PELLUCID_MODEL_REPOSITORY")]
_Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free port.")]
_Threads = Annotated[int, typer.Option(min=0, help="Threads a model computes with; 0 means all cores.")]
_LogFile = Annotated[Path | None, typer.Option(help="Log of the server; by default below the cache.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON when ready.")]


def triton(
    repository: _Repository = Path("model_repository"),
    grpc_port: _Port = 8001,
    http_port: _Port = 8000,
    metrics_port: _Port = 8002,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    threads: _Threads = 0,
    log_file: _LogFile = None,
    as_json: _Json = False,
    prepare: Annotated[bool, typer.Option("--prepare", help="Only make the environment that the models need.")] = False,
) -> None:
    """Run the embedded Triton alone, restarting it after a crash, until interrupted."""
    with _foreground():
        settings = Settings(repository, host, grpc_port, http_port, metrics_port, threads=threads, log_file=log_file)
        server = TritonServer(settings)
        if prepare:
            server.prepare()
            return
        with _supervised(server):
            _announce(_facts(server), server.models(), as_json)
            threading.Event().wait()


def up(
    repository: _Repository = Path("model_repository"),
    address: Annotated[
        str,
        typer.Option(help="Where the gateway listens; port 0 takes a free one.", envvar="PELLUCID_ADDRESS"),
    ] = "127.0.0.1:50051",
    threads: _Threads = 0,
    log_file: _LogFile = None,
    as_json: _Json = False,
    gateway_module: Annotated[str, typer.Option(hidden=True)] = "pellucid_gateway",
) -> None:
    """Run the gateway and an embedded Triton, restarting either after a crash, until interrupted."""
    with _foreground():
        # A gateway that cannot listen is told of now, not after Triton's start.
        choose_ports([Address.parse(address)])
        traces = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
        server = TritonServer(Settings(repository, threads=threads, log_file=log_file, trace_endpoint=traces))
        gateway_log = server.log_file.with_stem(f"{server.log_file.stem}-gateway")
        # Left in the opposite order: the gateway drains while Triton still answers.
        with ExitStack() as stack:
            stack.enter_context(_supervised(server))
            gateway = GatewayProcess(address, server.addresses.grpc, repository, gateway_log, gateway_module)
            stack.enter_context(_supervised(gateway))
            facts = {"gateway": gateway.address, "gateway_log": str(gateway.log_file), **_facts(server)}
            _announce(facts, server.models(), as_json)
            threading.Event().wait()


@contextmanager
def _foreground() -> Iterator[None]:
    """Log to standard error; end quietly on SIGINT and SIGTERM, and with the reason on a LauncherError."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        return
    except LauncherError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


@contextmanager
def _supervised(service: Service) -> Iterator[None]:
    supervisor = Supervisor(service)
    try:
        supervisor.start()
        yield
    finally:
        supervisor.stop()


def _facts(server: TritonServer) -> dict[str, str]:
    addresses = server.addresses
    return {
        "triton_grpc": addresses.grpc,
        "triton_http": addresses.http,
        "triton_metrics": addresses.metrics,
        "triton_log": str(server.log_file),
    }


def _announce(facts: dict[str, str], models: list[ModelStatus], as_json: bool) -> None:
    if as_json:
        listed = [vars(model) for model in models]
        typer.echo(json.dumps({**facts, "models": listed}))
        return
    for name, value in facts.items():
        typer.echo(f"{name.replace('_', ' '):14} {value}")
    for model in models:
        typer.echo(f"model {model.name} {model.version or '-'} {model.state} {model.reason}".rstrip())
