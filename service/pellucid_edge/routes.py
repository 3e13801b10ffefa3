"""What is reached under which path, and from which pages."""

from typing import Any

from pellucid_edge.contract import SERVICES
from pellucid_edge.edge import Edge
from pellucid_edge.filters import GATEWAY, OPENAPI_PATH

Json = dict[str, Any]

OPENAPI_FILE = "openapi.json"
OPEN = (
    *(service.full_name for service in SERVICES),
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
)
"""The services that can be called through the edge."""
_OFF = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}
# A call ends when its client says so, by grpc-timeout: streams run for hours.
_TO_GATEWAY = {"cluster": GATEWAY, "timeout": "0s", "max_stream_duration": {"grpc_timeout_header_max": "0s"}}
# The filter for CORS answers these all, but only where they would be passed on.
_PREFLIGHT = {
    "match": {
        "prefix": "/",
        "headers": [
            {"name": ":method", "string_match": {"exact": "OPTIONS"}},
            {"name": "origin", "present_match": True},
            {"name": "access-control-request-method", "present_match": True},
        ],
    },
    "route": _TO_GATEWAY,
}
_HEADERS = (
    *("authorization", "content-type", "grpc-timeout", "traceparent", "tracestate"),
    *("x-api-key", "x-grpc-web", "x-request-id", "x-user-agent"),
)
_MAX_DOCUMENT_BYTES = 2**20


def route_configuration(edge: Edge) -> Json:
    """Return the routes: the open services, the document of the API, and 404 for anything else."""
    host: Json = {"name": "edge", "domains": ["*"], "routes": _routes(edge)}
    if edge.origins:
        host["typed_per_filter_config"] = {"envoy.filters.http.cors": _cors(edge.origins)}
    return {"max_direct_response_body_size_bytes": _MAX_DOCUMENT_BYTES, "virtual_hosts": [host]}


def _routes(edge: Edge) -> list[Json]:
    document = {"status": 200, "body": {"filename": f"{edge.folder}/{OPENAPI_FILE}"}}
    nothing = {"status": 404, "body": {"inline_string": "no such path"}}
    return [
        *([_PREFLIGHT] if edge.origins else []),
        *(_service(name) for name in OPEN),
        # Here to be found before it is transcoded; what cannot be transcoded goes no further.
        {"match": {"prefix": "/v1/"}, "route": _TO_GATEWAY},
        {
            "match": {"path": OPENAPI_PATH},
            "direct_response": document,
            "response_headers_to_add": [
                _header("content-type", "application/json"),
                _header("access-control-allow-origin", "*"),
            ],
            "typed_per_filter_config": {"envoy.filters.http.grpc_json_transcoder": _OFF},
        },
        {"match": {"prefix": "/"}, "direct_response": nothing},
    ]


def _service(name: str) -> Json:
    is_grpc = {"name": "content-type", "string_match": {"prefix": "application/grpc"}}
    return {
        "match": {"prefix": f"/{name}/", "headers": [is_grpc]},
        "route": _TO_GATEWAY,
        # Streams are passed on as they come; the gateway limits their messages.
        "typed_per_filter_config": {"envoy.filters.http.buffer": _OFF},
    }


def _cors(origins: tuple[str, ...]) -> Json:
    matches = [{"safe_regex": {"regex": ".*"}} if origin == "*" else {"exact": origin} for origin in origins]
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": matches,
        "allow_methods": "GET, POST",
        "allow_headers": ", ".join(_HEADERS),
        "expose_headers": "grpc-message, grpc-status, grpc-status-details-bin, x-request-id",
        "max_age": "600",
        "forward_not_matching_preflights": False,
    }


def _header(key: str, value: str) -> Json:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
