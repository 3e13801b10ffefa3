"""What the autoscalers ask for is there: in the adapter's rules, in Triton and in the gateway."""

import re
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml

from pellucid_gateway.telemetry import metrics
from pellucid_triton.server import TritonServer
from pellucid_triton.settings import Settings
from tests.deploy.chart import ROOT, find, render
from tests.pellucid_triton import networks

RULES = yaml.safe_load((ROOT / "deploy/helm/prometheus-adapter.yaml").read_text())["rules"]["custom"]


def asked(component: str) -> set[str]:
    told = find(render(), "HorizontalPodAutoscaler", component)["spec"]["metrics"]
    return {one["pods"]["metric"]["name"] for one in told if one["type"] == "Pods"}


def series(prefix: str) -> set[str]:
    texts = [rule[key] for rule in RULES for key in ("seriesQuery", "metricsQuery")]
    return {name for text in texts for name in re.findall(rf"\b{prefix}_\w+", text)}


def test_triton_scales_by_waiting_requests_and_their_wait_and_the_gateway_by_images_under_way() -> None:
    assert asked("triton") == {"nv_inference_pending_request_count", "triton_queue_milliseconds"}
    assert asked("gateway") == {"pellucid_in_flight_images"}


def test_the_adapter_serves_every_metric_that_an_autoscaler_asks_for() -> None:
    served = {rule["name"]["as"] for rule in RULES}
    assert asked("triton") | asked("gateway") == served


def test_the_gateway_has_the_series_that_the_rules_read() -> None:
    known = {sample.name for family in metrics.registry().collect() for sample in family.samples}
    assert series("pellucid") == {"pellucid_in_flight_images"}
    assert series("pellucid") <= known


@pytest.mark.stack
def test_triton_has_the_series_that_the_rules_read(tmp_path: Path) -> None:
    networks.write(tmp_path, "affine", networks.affine())
    triton = TritonServer(Settings(tmp_path))
    triton.start()
    try:
        with urlopen(f"http://{triton.addresses.metrics}/metrics", timeout=10) as answer:
            known = set(re.findall(r"^(nv_\w+)\{", answer.read().decode(), re.MULTILINE))
    finally:
        triton.stop()
    assert series("nv") == {
        "nv_inference_pending_request_count",
        "nv_inference_queue_duration_us",
        "nv_inference_request_success",
    }
    assert series("nv") <= known
