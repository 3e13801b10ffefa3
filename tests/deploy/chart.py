"""The chart rendered by Helm's own engine, for the tests to ask."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "pellucid"
RELEASE, NAMESPACE = "demo", "prod"

Object = Mapping[str, Any]

STORAGE = {"triton": "s3://bucket/models", "gateway": "s3://bucket/models", "credentialsSecret": "bucket-keys"}
EVERYTHING: dict[str, Any] = {
    "gateway": {
        "tls": {"secret": "gateway-tls"},
        "env": {"PELLUCID_LOG_LEVEL": "DEBUG", "PELLUCID_MAX_IN_FLIGHT_BATCHES": 4},
        "clients": [{"namespaceSelector": {"matchLabels": {"team": "jobs"}}}],
        "nodeSelector": {"pool": "general"},
    },
    "triton": {
        "runtimeClass": "nvidia",
        "engineClaim": "engines",
        "extraArguments": ["--log-verbose=1"],
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    },
    "edge": {
        "arguments": ["--origin=https://studio.example.org"],
        "tlsSecret": "edge-tls",
        "service": {"type": "LoadBalancer", "port": 443, "annotations": {"example.org/internal": "true"}},
    },
    "repository": {**STORAGE, "manifestKeySecret": "release-key"},
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/models"}},
    "networkPolicy": {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443}]}]},
    "monitoring": {"serviceMonitor": True, "otlpEndpoint": "http://collector.monitoring:4318"},
}
"""Every choice made otherwise than by default."""

FIXED = {component: {"autoscaling": {"enabled": False}} for component in ("gateway", "triton", "edge")}
CASES: dict[str, Any] = {
    "defaults": {},
    "everything": EVERYTHING,
    "no edge, no scaling, no GPU": {
        **FIXED,
        "edge": {"enabled": False},
        "triton": {"gpus": 0, **FIXED["triton"]},
        "networkPolicy": {"enabled": False},
        "gateway": {"callersSecret": "", "tls": {"secret": "gateway-tls", "mutual": True}, **FIXED["gateway"]},
    },
}


def render(values: Mapping[str, Any] | None = None) -> list[Object]:
    """All objects of the chart. Raises helm's errors for values that its schema refuses."""
    with helm.Chart.load(str(CHART)) as chart:
        rendered = chart.render(dict(values or {}), name=RELEASE, namespace=NAMESPACE)
    texts = [text for name, text in sorted(rendered.items()) if not name.endswith("NOTES.txt")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def find(objects: list[Object], kind: str, name: str) -> Any:
    """The object of a kind with a name behind the release's."""
    (found,) = (o for o in objects if o["kind"] == kind and o["metadata"]["name"] == f"{RELEASE}-pellucid-{name}")
    return found


def pods(objects: list[Object]) -> Iterator[tuple[str, Any]]:
    """The pods of all deployments, with the component's name."""
    for one in objects:
        if one["kind"] == "Deployment":
            template = one["spec"]["template"]
            yield template["metadata"]["labels"]["app.kubernetes.io/component"], template


def containers(objects: list[Object], kind: str = "containers") -> Iterator[tuple[str, Any]]:
    """The containers, or initContainers, of all pods, with the component's name."""
    for component, pod in pods(objects):
        for container in pod["spec"].get(kind, []):
            yield component, container


def environment(container: Any) -> dict[str, str]:
    """A container's own environment variables."""
    return {variable["name"]: variable["value"] for variable in container.get("env", [])}
