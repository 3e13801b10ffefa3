"""Where the edge connects to: the gateways, and whoever publishes the keys of tokens."""

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from pellucid_edge.edge import Edge
from pellucid_edge.filters import GATEWAY, JWKS
from pellucid_triton.addresses import Address

Json = dict[str, Any]

_PROTOCOLS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"


def clusters(edge: Edge) -> list[Json]:
    """Return the clusters that the filters and routes name."""
    return [_gateway(edge), *([_jwks(edge)] if edge.jwt and edge.jwt.is_remote else [])]


def socket_address(address: Address) -> Json:
    """Return an address as Envoy writes it."""
    return {"address": {"socket_address": {"address": address.host, "port_value": address.port}}}


def _gateway(edge: Edge) -> Json:
    gateways = [Address.parse(gateway) for gateway in edge.gateways]
    http2 = {
        # More connections under load, which several processes on one port share among them.
        "max_concurrent_streams": 64,
        # Above the least that the gateway takes between two pings.
        "connection_keepalive": {"interval": "30s", "timeout": "5s"},
    }
    cluster = _cluster(GATEWAY, gateways) | {
        "lb_policy": "LEAST_REQUEST",
        # The gateway itself says no, with a reason.
        "circuit_breakers": {
            "thresholds": [dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), 10_000)]
        },
        "typed_extension_protocol_options": {
            _PROTOCOLS: {
                "@type": f"type.googleapis.com/{_PROTOCOLS}",
                "explicit_http_config": {"http2_protocol_options": http2},
            }
        },
        "health_checks": [
            {
                "timeout": "2s",
                "interval": "1s",
                "no_traffic_interval": "1s",
                "unhealthy_threshold": 3,
                "healthy_threshold": 1,
                "grpc_health_check": {},
            }
        ],
        # Where none is healthy all are asked: their refusals say more than ours.
        "common_lb_config": {"healthy_panic_threshold": {"value": 1}},
    }
    if edge.gateway_ca:
        cluster["transport_socket"] = _tls(gateways[0].host, edge.gateway_ca, ["h2"])
    return cluster


def _jwks(edge: Edge) -> Json:
    url = urlsplit(edge.jwt.jwks if edge.jwt else "")
    is_tls = url.scheme == "https"
    cluster = _cluster(JWKS, [Address(str(url.hostname), url.port or (443 if is_tls else 80))])
    return cluster | ({"transport_socket": _tls(str(url.hostname), edge.authorities, [])} if is_tls else {})


def _cluster(name: str, addresses: list[Address]) -> Json:
    return {
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": socket_address(address)} for address in addresses]}],
        },
    }


def _tls(host: str, authorities: str, protocols: list[str]) -> Json:
    is_ip = _is_ip(host)
    name = {"san_type": "IP_ADDRESS" if is_ip else "DNS", "matcher": {"exact": host}}
    validation = {"trusted_ca": {"filename": authorities}, "match_typed_subject_alt_names": [name]}
    context = {
        "@type": f"{_TLS}.UpstreamTlsContext",
        "common_tls_context": {"alpn_protocols": protocols, "validation_context": validation},
    }
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": context if is_ip else context | {"sni": host},
    }


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
