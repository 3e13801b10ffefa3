"""Dashboard, alerts and collector: what they name exists, and what they say holds."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import promql_parser
import pytest
import yaml

from pellucid_gateway.telemetry import metrics
from pellucid_triton.server import TritonServer
from pellucid_triton.settings import Settings
from tests.pellucid_triton import networks

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
CASES = ROOT / "tests" / "deploy" / "alerts.test.yml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "pellucid.json").read_text())
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]

GPU_METRICS = {"nv_gpu_utilization", "nv_gpu_memory_used_bytes", "nv_gpu_memory_total_bytes"}
"""Triton tells these only where there is a GPU (its user guide, "Metrics")."""

OTHERS = {"up"}
"""What Prometheus itself adds."""

KEYWORDS = {"by", "le", "sum", "min", "max", "count", "rate", "increase", "histogram_quantile"}


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in RULES)
    yield from (target["expr"] for panel in panels() for target in panel["targets"])
    variable = next(one for one in DASHBOARD["templating"]["list"] if one["name"] == "instance")
    yield variable["query"]["query"].removeprefix("label_values(").split(",")[0]


def metrics_in(expression: str) -> set[str]:
    """Names of the metrics in PromQL: words that are no label, no text, no duration and no keyword."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)", " ", expression)
    return set(re.findall(r"\b[a-z_]\w*", bare)) - KEYWORDS


def named() -> set[str]:
    return {name for expression in expressions() for name in metrics_in(expression)}


def ours() -> set[str]:
    """All that a gateway can tell, with the suffixes of what has labels and was never counted."""
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    return {family.name + suffix for family in metrics.registry().collect() for suffix in suffixes.get(family.type, ())}


def test_names_of_metrics_are_found_in_promql() -> None:
    text = 'histogram_quantile(0.9, sum by (le, model) (rate(a_bucket{code="OK"}[5m]))) / max(b_total) > 0.5'
    assert metrics_in(text) == {"a_bucket", "b_total"}


def test_every_metric_in_alerts_and_dashboard_is_one_that_is_told() -> None:
    known = ours() | OTHERS
    assert "pellucid_calls_handled_total" in known
    assert {name for name in named() if not name.startswith("nv_")} - known == set()


def test_every_metric_of_ours_is_shown_or_watched() -> None:
    families = {name for name in ours() if name.startswith("pellucid_") and not name.endswith(("_sum", "_count"))}
    assert families - named() == {"pellucid_batch_rows_bucket"}


def test_labels_in_selectors_are_labels_of_the_metric() -> None:
    added = {"instance", "job", "le", "gpu_uuid"}
    labels = {
        "pellucid_calls_handled_total": {"method", "code", "caller"},
        "pellucid_call_duration_seconds_bucket": {"method", "code"},
        "pellucid_shed_total": {"reason", "caller"},
        "pellucid_models": {"state"},
        "pellucid_style_cache_lookups_total": {"result"},
    }
    for expression in expressions():
        for name, selector in re.findall(r"(\w+)\{([^}]*)\}", expression):
            used = set(re.findall(r"(\w+)\s*[=!]~?", selector))
            assert used <= labels.get(name, set()) | added, expression


@pytest.mark.stack
def test_triton_tells_the_metrics_that_are_named_of_it(tmp_path: Path) -> None:
    networks.write(tmp_path, "affine", networks.affine())
    server = TritonServer(Settings(tmp_path))
    server.start()
    try:
        with urlopen(f"http://{server.addresses.metrics}/metrics", timeout=10) as answer:
            told = set(re.findall(r"^(nv_\w+)", answer.read().decode(), re.MULTILINE))
    finally:
        server.stop()
    wanted = {name for name in named() if name.startswith("nv_")}
    assert wanted - told == GPU_METRICS


def test_panels_have_a_number_of_their_own_a_title_and_do_not_overlap() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert panel["title"]
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells


def test_grafana_finds_the_dashboard_and_its_source() -> None:
    [provider] = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/pellucid.yml").read_text())["providers"]
    [source] = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    mounts = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]["volumes"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in mounts
    chosen = next(one for one in DASHBOARD["templating"]["list"] if one["name"] == "source")
    assert chosen["current"]["value"] == source["uid"]
    assert {target["datasource"]["uid"] for panel in panels() for target in panel["targets"]} == {"${source}"}


def test_every_alert_has_a_severity_a_summary_a_case_and_says_what_to_do() -> None:
    told = (ROOT / "docs" / "observability.md").read_text()
    tried = {
        one["alertname"]
        for case in yaml.safe_load(CASES.read_text())["tests"]
        for one in case["alert_rule_test"]
        if one["exp_alerts"]
    }
    for rule in RULES:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert f"| `{rule['alert']}` |" in told
    assert tried == {rule["alert"] for rule in RULES}


needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool comes with Debian's package prometheus"
)


def promtool(*arguments: str) -> None:
    ran = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@needs_promtool
def test_prometheus_takes_the_configuration_and_alerts_fire_on_their_fault_alone() -> None:
    promtool("check", "config", str(DEPLOY / "prometheus" / "prometheus.yml"))
    promtool("check", "rules", "--lint-fatal", str(ALERTS))
    promtool("test", "rules", str(CASES))


@pytest.mark.parametrize("expression", [*expressions(), *(rule["expr"] for rule in RULES)])
def test_every_expression_is_promql(expression: str) -> None:
    filled = expression.replace("$__rate_interval", "5m").replace("$instance", ".*")
    assert promql_parser.parse(filled)


def test_the_collector_takes_what_the_gateway_and_triton_send_and_every_part_is_used() -> None:
    collector = yaml.safe_load((DEPLOY / "otel" / "collector.yaml").read_text())
    assert collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(":4318")
    service = collector["service"]
    [pipeline] = service["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == set(collector[kind])
    assert set(service["extensions"]) == set(collector["extensions"])
    assert pipeline["processors"][0] == "memory_limiter"
