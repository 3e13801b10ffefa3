"""The command `pellucid triton`."""

import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from pellucid_triton.foreground import announce, foreground, supervised
from pellucid_triton.server import TritonServer
from pellucid_triton.settings import Settings

Repository = Annotated[Path, typer.Option(help="Directory of model directories.", envvar="PELLUCID_MODEL_REPOSITORY")]
_Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free port.")]
Threads = Annotated[int, typer.Option(min=0, help="Threads a model computes with; 0 means all cores.")]
LogFile = Annotated[Path | None, typer.Option(help="Log of the server; by default below the cache.")]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON when ready.")]


def triton(
    repository: Repository = Path("model_repository"),
    grpc_port: _Port = 8001,
    http_port: _Port = 8000,
    metrics_port: _Port = 8002,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    threads: Threads = 0,
    log_file: LogFile = None,
    as_json: Json = False,
    prepare: Annotated[bool, typer.Option("--prepare", help="Only make the environment that the models need.")] = False,
) -> None:
    """Run the embedded Triton alone, restarting it after a crash, until interrupted."""
    with foreground():
        settings = Settings(repository, host, grpc_port, http_port, metrics_port, threads=threads, log_file=log_file)
        server = TritonServer(settings)
        if prepare:
            server.prepare()
            return
        with supervised(server):
            announce(facts_of(server), as_json)
            threading.Event().wait()


def facts_of(server: TritonServer) -> dict[str, Any]:
    """Tell where a server listens and logs, and what it serves."""
    addresses = server.addresses
    return {
        "triton_grpc": addresses.grpc,
        "triton_http": addresses.http,
        "triton_metrics": addresses.metrics,
        "triton_log": str(server.log_file),
        "models": [vars(model) for model in server.models()],
    }
