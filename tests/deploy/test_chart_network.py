"""Who may speak to whom, by the rules of NetworkPolicy: what no policy selects is open, what one selects is closed."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.deploy.chart import EVERYTHING, Object, find, pods, render

OUTSIDER = {"app": "somebody"}
CLIENT = {"pellucid-client": "true"}


def labels(objects: list[Object], component: str) -> Mapping[str, str]:
    return dict(pods(objects))[component]["metadata"]["labels"]


def selects(selector: Mapping[str, Any], has: Mapping[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= has.items()


def permits(rules: list[Any], side: str, peer: Mapping[str, str], port: str) -> bool:
    """Whether a rule lets a pod of the same namespace through."""
    return any(
        (side not in rule or any(selects(p["podSelector"], peer) for p in rule[side] if p.keys() == {"podSelector"}))
        and ("ports" not in rule or port in [one["port"] for one in rule["ports"]])
        for rule in rules
    )


def reaches(objects: list[Object], source: Mapping[str, str], target: Mapping[str, str], port: str) -> bool:
    policies = [one["spec"] for one in objects if one["kind"] == "NetworkPolicy"]
    into = [policy for policy in policies if selects(policy["podSelector"], target)]
    out = [policy for policy in policies if selects(policy["podSelector"], source)]
    enters = not into or any(permits(policy.get("ingress", []), "from", source, port) for policy in into)
    leaves = not out or any(permits(policy.get("egress", []), "to", target, port) for policy in out)
    return enters and leaves


@pytest.fixture(params=[{}, EVERYTHING], ids=["defaults", "everything"])
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return render(request.param)


def test_only_the_gateway_reaches_triton(objects: list[Object]) -> None:
    triton = labels(objects, "triton")
    assert reaches(objects, labels(objects, "gateway"), triton, "grpc")
    for stranger in (OUTSIDER, CLIENT, labels(objects, "edge"), triton):
        for port in ("grpc", "http", "metrics"):
            assert not reaches(objects, stranger, triton, port)
    # Models are managed over gRPC: not even the gateway needs the other ports.
    assert not reaches(objects, labels(objects, "gateway"), triton, "http")


def test_the_gateway_is_called_by_the_edge_and_by_pods_with_the_label(objects: list[Object]) -> None:
    gateway = labels(objects, "gateway")
    assert reaches(objects, labels(objects, "edge"), gateway, "grpc")
    assert reaches(objects, CLIENT, gateway, "grpc")
    assert not reaches(objects, OUTSIDER, gateway, "grpc")
    for stranger in (OUTSIDER, CLIENT, labels(objects, "edge")):
        assert not reaches(objects, stranger, gateway, "admin")


def test_everybody_may_call_the_edge(objects: list[Object]) -> None:
    assert reaches(objects, OUTSIDER, labels(objects, "edge"), "edge")


def test_without_policies_triton_would_be_open() -> None:
    objects = render({"networkPolicy": {"enabled": False}})
    assert reaches(objects, OUTSIDER, labels(objects, "triton"), "grpc")


def test_metrics_are_read_from_the_monitoring_namespace_alone(objects: list[Object]) -> None:
    wanted = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    for component, port in (("gateway", "admin"), ("triton", "metrics")):
        rules = find(objects, "NetworkPolicy", component)["spec"]["ingress"]
        assert [rule["from"] for rule in rules if rule["ports"] == [{"port": port}]] == [wanted]


def test_nothing_leaves_triton_but_questions_for_names_and_what_was_added() -> None:
    names = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}
    assert find(render(), "NetworkPolicy", "triton")["spec"]["egress"] == [names]
    added = EVERYTHING["networkPolicy"]["egress"]
    assert find(render(EVERYTHING), "NetworkPolicy", "triton")["spec"]["egress"] == [names, *added]
