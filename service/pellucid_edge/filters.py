"""The HTTP filters that a request passes, in their order."""

from typing import Any

from pellucid_edge.contract import SERVICES
from pellucid_edge.edge import Edge, Jwt, RateLimit

Json = dict[str, Any]

CONTRACT_FILE = "contract.binpb"
GATEWAY = "gateway"
JWKS = "jwks"
HEALTH_PATH = "/healthz"
OPENAPI_PATH = "/openapi.json"
_FILTERS = "type.googleapis.com/envoy.extensions.filters.http"


def http_filters(edge: Edge) -> list[Json]:
    """Return the filters; a caller is known before its requests are counted, and both before a body is read."""
    filters = [
        _filter("cors", "Cors"),
        _filter("health_check", "HealthCheck", **_health_check()),
        _filter("grpc_web", "GrpcWeb"),
    ]
    if edge.jwt:
        filters.append(_filter("jwt_authn", "JwtAuthentication", **_authentication(edge.jwt)))
    if edge.rate_limit:
        filters.append(_filter("local_ratelimit", "LocalRateLimit", **_limit(edge.rate_limit)))
    return [
        *filters,
        _filter("buffer", "Buffer", max_request_bytes=edge.max_body_bytes),
        _filter("grpc_json_transcoder", "GrpcJsonTranscoder", **_transcoder(edge)),
        _filter("router", "Router", suppress_envoy_headers=True),
    ]


def _filter(name: str, kind: str, **fields: Any) -> Json:
    return {
        "name": f"envoy.filters.http.{name}",
        "typed_config": {"@type": f"{_FILTERS}.{name}.v3.{kind}", **fields},
    }


def _health_check() -> Json:
    """Answer by the gateways' own health: 200 while one of them serves, otherwise 503."""
    return {
        "pass_through_mode": False,
        "headers": [{"name": ":path", "string_match": {"exact": HEALTH_PATH}}],
        "cluster_min_healthy_percentages": {GATEWAY: {"value": 1}},
    }


def _authentication(jwt: Jwt) -> Json:
    provider = {"issuer": jwt.issuer, "audiences": list(jwt.audiences), "forward": True}
    if jwt.is_remote:
        uri = {"uri": jwt.jwks, "cluster": JWKS, "timeout": "5s"}
        keys = {"remote_jwks": {"http_uri": uri, "cache_duration": "300s", "async_fetch": {}}}
    else:
        keys = {"local_jwks": {"filename": jwt.jwks}}
    return {
        "providers": {"caller": provider | keys},
        # A preflight never carries a token.
        "bypass_cors_preflight": True,
        "rules": [
            {"match": {"path": OPENAPI_PATH}},
            {"match": {"prefix": "/"}, "requires": {"provider_name": "caller"}},
        ],
    }


def _limit(limit: RateLimit) -> Json:
    bucket = {
        "max_tokens": limit.requests_per_minute,
        "tokens_per_fill": limit.requests_per_minute,
        "fill_interval": "60s",
    }
    always = {"default_value": {"numerator": 100}}
    return {
        "stat_prefix": "edge",
        "filter_enabled": always,
        "filter_enforced": always,
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        "rate_limited_as_resource_exhausted": True,
        # For whoever lacks the header.
        "token_bucket": bucket,
        "always_consume_default_token_bucket": False,
        # An entry without a value stands for each value that comes.
        "descriptors": [{"entries": [{"key": "caller"}], "token_bucket": bucket}],
        "max_dynamic_descriptors": 10_000,
        "rate_limits": [{"actions": [{"request_headers": {"header_name": limit.header, "descriptor_key": "caller"}}]}],
    }


def _transcoder(edge: Edge) -> Json:
    return {
        "proto_descriptor": f"{edge.folder}/{CONTRACT_FILE}",
        "services": [service.full_name for service in SERVICES],
        "convert_grpc_status": True,
        "print_options": {"stream_newline_delimited": True},
        "request_validation_options": {
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
            "reject_binding_body_field_collisions": True,
        },
        "max_request_body_size": edge.max_body_bytes,
        "max_response_body_size": edge.max_body_bytes,
    }
