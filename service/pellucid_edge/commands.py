"""The command `pellucid edge`."""

import threading
from pathlib import Path
from typing import Annotated

import typer

from pellucid_edge.configuration import documents, render
from pellucid_edge.edge import Edge, Jwt, RateLimit, Tls
from pellucid_edge.process import EdgeProcess
from pellucid_triton.errors import InvalidSettingError, LauncherError
from pellucid_triton.foreground import announce, foreground, supervised
from pellucid_triton.logs import default_log_file
from pellucid_triton.settings import default_cache_dir


def edge(
    address: Annotated[str, typer.Option(help="Where it listens; port 0 takes a free one.")] = "127.0.0.1:8080",
    gateway: Annotated[list[str] | None, typer.Option(help="A gateway, 127.0.0.1:50051 if none; repeatable.")] = None,
    admin_address: Annotated[str, typer.Option(help="Where Envoy's administration listens.")] = "127.0.0.1:0",
    origin: Annotated[list[str] | None, typer.Option(help="Origin whose pages may call, or *; repeatable.")] = None,
    max_body_bytes: Annotated[int, typer.Option(help="Largest JSON body.")] = Edge.max_body_bytes,
    jwt_issuer: Annotated[str, typer.Option(help="Issuer of the tokens that all must then bring.")] = "",
    jwt_audience: Annotated[list[str] | None, typer.Option(help="Audience of tokens; repeatable.")] = None,
    jwks: Annotated[str, typer.Option(help="Keys of the issuer: a JWKS file or URL.")] = "",
    certificate: Annotated[Path | None, typer.Option(help="PEM file of the certificate chain, for TLS.")] = None,
    private_key: Annotated[Path | None, typer.Option(help="PEM file of its private key.")] = None,
    gateway_ca: Annotated[Path | None, typer.Option(help="PEM file of the gateways' authorities, for TLS.")] = None,
    requests_per_minute: Annotated[int, typer.Option(help="Limit of each caller; 0 for none.")] = 0,
    caller_header: Annotated[str, typer.Option(help="Header that tells callers apart.")] = RateLimit.header,
    log_file: Annotated[Path | None, typer.Option(help="Log of Envoy; by default below the cache.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON when ready.")] = False,
    print_config: Annotated[bool, typer.Option("--print-config", help="Only print Envoy's configuration.")] = False,
    write_config: Annotated[Path | None, typer.Option(help="Only write it and its files to this folder.")] = None,
) -> None:
    """Run Envoy before a gateway, for JSON, gRPC-Web and gRPC, restarting it after a crash, until interrupted."""
    try:
        wanted = Edge(
            address=address,
            gateways=tuple(gateway or ["127.0.0.1:50051"]),
            admin_address=admin_address,
            origins=tuple(origin or ()),
            max_body_bytes=max_body_bytes,
            jwt=_jwt(jwt_issuer, jwt_audience or [], jwks),
            tls=_tls(certificate, private_key),
            rate_limit=RateLimit(requests_per_minute, caller_header) if requests_per_minute else None,
            gateway_ca=_absolute(gateway_ca),
        )
        if print_config:
            typer.echo(render(wanted), nl=False)
        elif write_config:
            _write(wanted, write_config)
        else:
            _run(EdgeProcess(wanted, log_file or _default_log_file()), as_json)
    except LauncherError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


def _jwt(issuer: str, audiences: list[str], jwks: str) -> Jwt | None:
    if not (issuer or audiences or jwks):
        return None
    is_file = jwks and not jwks.startswith(("http://", "https://"))
    return Jwt(issuer, tuple(audiences), str(Path(jwks).absolute()) if is_file else jwks)


def _tls(certificate: Path | None, private_key: Path | None) -> Tls | None:
    chain, key = _absolute(certificate), _absolute(private_key)
    if chain and key:
        return Tls(chain, key)
    if chain or key:
        raise InvalidSettingError("tls: a certificate and its private key are both needed")
    return None


def _absolute(path: Path | None) -> str | None:
    # Envoy may be started elsewhere.
    return str(path.absolute()) if path else None


def _default_log_file() -> Path:
    log = default_log_file(default_cache_dir())
    return log.with_stem(f"{log.stem}-edge")


def _write(wanted: Edge, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in documents(wanted).items():
        (folder / name).write_bytes(content)


def _run(process: EdgeProcess, as_json: bool) -> None:
    with foreground(), supervised(process):
        facts = {"edge": process.address, "edge_admin": process.admin_address, "edge_log": str(process.log_file)}
        announce(facts, as_json)
        threading.Event().wait()
