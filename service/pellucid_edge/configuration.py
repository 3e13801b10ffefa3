"""Envoy's configuration, and the files that belong to it."""

from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

import yaml

from pellucid_edge.clusters import clusters, socket_address
from pellucid_edge.contract import descriptor_set
from pellucid_edge.edge import Edge, Tls
from pellucid_edge.filters import CONTRACT_FILE, http_filters
from pellucid_edge.replies import local_replies
from pellucid_edge.routes import OPENAPI_FILE, route_configuration
from pellucid_triton.addresses import Address

Json = dict[str, Any]

CONFIGURATION_FILE = "envoy.yaml"
STAT_PREFIX = "edge"
_CERTIFICATE_FILE = "certificate.yaml"
_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_UUID = "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig"
_LOG = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
_MAX_CONNECTIONS = 10_000


def render(edge: Edge) -> str:
    """Return Envoy's configuration as YAML."""
    bootstrap = {
        "admin": socket_address(Address.parse(edge.admin_address)),
        # Asked for by what Envoy takes from files that it watches.
        "node": {"id": "edge", "cluster": "pellucid"},
        "overload_manager": _overload(edge.max_heap_bytes),
        "static_resources": {"listeners": [_listener(edge)], "clusters": clusters(edge)},
    }
    # References between parts would be lost on whoever reads it.
    return yaml.dump(bootstrap, Dumper=_Plain, sort_keys=False, width=120)


def documents(edge: Edge) -> dict[str, bytes]:
    """Return the files that Envoy reads, by their names in the edge's folder."""
    found = {
        CONFIGURATION_FILE: render(edge).encode(),
        CONTRACT_FILE: descriptor_set(),
        OPENAPI_FILE: files("pellucid_edge").joinpath(OPENAPI_FILE).read_bytes(),
    }
    if edge.tls:
        found[_CERTIFICATE_FILE] = yaml.safe_dump(_certificate(edge.tls), sort_keys=False).encode()
    return found


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _overload(max_heap_bytes: int) -> Json:
    connections = {"max_active_downstream_connections": _MAX_CONNECTIONS}
    heap = {"max_heap_size_bytes": max_heap_bytes}
    return {
        "resource_monitors": [
            _monitor(
                "global_downstream_max_connections",
                "downstream_connections.v3.DownstreamConnectionsConfig",
                connections,
            ),
            _monitor("fixed_heap", "fixed_heap.v3.FixedHeapConfig", heap),
        ],
        "actions": [_action("shrink_heap", 0.9), _action("stop_accepting_requests", 0.95)],
    }


def _monitor(name: str, kind: str, fields: Json) -> Json:
    monitors = "envoy.resource_monitors"
    typed = {"@type": f"type.googleapis.com/envoy.extensions.resource_monitors.{kind}", **fields}
    return {"name": f"{monitors}.{name}", "typed_config": typed}


def _action(name: str, share: float) -> Json:
    trigger = {"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": share}}
    return {"name": f"envoy.overload_actions.{name}", "triggers": [trigger]}


def _listener(edge: Edge) -> Json:
    chain: Json = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": _manager(edge)}]
    }
    if edge.tls:
        chain["transport_socket"] = _tls(edge)
    return {"name": "edge", **socket_address(Address.parse(edge.address)), "filter_chains": [chain]}


def _manager(edge: Edge) -> Json:
    return {
        "@type": _MANAGER,
        "stat_prefix": STAT_PREFIX,
        "server_name": "pellucid",
        # The address that connected is what counts, whatever a client claims.
        "use_remote_address": True,
        "normalize_path": True,
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "request_id_extension": {"typed_config": {"@type": _UUID, "pack_trace_reason": False}},
        "request_headers_timeout": "10s",
        "stream_idle_timeout": "300s",
        "common_http_protocol_options": {"idle_timeout": "3600s"},
        # How a stream ended is told after it, in a trailer.
        "http_protocol_options": {"enable_trailers": True},
        "http2_protocol_options": {"max_concurrent_streams": 128},
        "access_log": [_access_log()],
        "local_reply_config": local_replies(edge),
        "http_filters": http_filters(edge),
        "route_config": route_configuration(edge),
    }


def _access_log() -> Json:
    """Log what broke between the edge and a gateway; the gateway logs its own calls."""
    line = {
        "time": "%START_TIME%",
        "method": "%REQ(:METHOD)%",
        "path": "%PATH(NQ)%",
        "status": "%RESPONSE_CODE%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "flags": "%RESPONSE_FLAGS%",
        "duration_ms": "%DURATION%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "traceparent": "%REQ(TRACEPARENT)%",
    }
    return {
        "name": "envoy.access_loggers.stdout",
        "filter": {"response_flag_filter": {"flags": ["UH", "UF", "UC", "UR", "UO", "UT", "LR"]}},
        "typed_config": {"@type": _LOG, "log_format": {"json_format": line}},
    }


def _tls(edge: Edge) -> Json:
    secret = {
        "name": "certificate",
        "sds_config": {
            "path_config_source": {"path": f"{edge.folder}/{_CERTIFICATE_FILE}"},
            "resource_api_version": "V3",
        },
    }
    common = {"alpn_protocols": ["h2", "http/1.1"], "tls_certificate_sds_secret_configs": [secret]}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {"@type": f"{_TLS}.DownstreamTlsContext", "common_tls_context": common},
    }


def _certificate(tls: Tls) -> Json:
    """Return the secret that names the files: Envoy watches files only of secrets that come this way."""
    certificate = {
        "certificate_chain": {"filename": tls.certificate},
        "private_key": {"filename": tls.private_key},
        "watched_directory": {"path": str(PurePosixPath(tls.certificate).parent)},
    }
    return {"resources": [{"@type": f"{_TLS}.Secret", "name": "certificate", "tls_certificate": certificate}]}
