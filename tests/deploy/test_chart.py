import json
from collections.abc import Mapping
from typing import Any

import helm_python as helm
import kubernetes_validate
import pytest
import yaml

from pellucid_gateway.settings import Settings
from tests.deploy import chart
from tests.deploy.chart import CASES, CHART, EVERYTHING, STORAGE, containers, environment, find, pods, render

KUBERNETES = ("1.30", "1.34")
"""The oldest that the chart takes, and a newer one."""


@pytest.fixture(params=CASES, ids=lambda name: name)
def objects(request: pytest.FixtureRequest) -> list[chart.Object]:
    return render(CASES[request.param])


def test_helm_finds_no_fault_with_the_chart() -> None:
    told = helm.lint(str(CHART))
    worse_than_advice = [message for message in told["messages"] if message["severity"] > 1]
    assert (worse_than_advice, told["errors"]) == ([], [])


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_what_kubernetes_takes(objects: list[chart.Object], version: str) -> None:
    checked = [one for one in objects if one["kind"] != "ServiceMonitor"]
    for one in checked:
        kubernetes_validate.validate(one, version, strict=True)
    assert {"Deployment", "Service", "ServiceAccount", "PodDisruptionBudget"} <= {one["kind"] for one in checked}


def test_a_misspelt_field_would_have_been_refused() -> None:
    triton = json.loads(json.dumps(find(render(), "Deployment", "triton")))
    triton["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(triton, KUBERNETES[0], strict=True)


def test_names_and_kinds_are_each_there_once(objects: list[chart.Object]) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(names)) == len(names)


def test_no_container_runs_as_root_or_may_become_it(objects: list[chart.Object]) -> None:
    for _, pod in pods(objects):
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["spec"]["automountServiceAccountToken"] is False
    for kind in ("containers", "initContainers"):
        for _, container in containers(objects, kind):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_every_container_has_limits_and_every_server_its_probes(objects: list[chart.Object]) -> None:
    for kind in ("containers", "initContainers"):
        for _, container in containers(objects, kind):
            assert {"cpu", "memory"} <= container["resources"]["limits"].keys()
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    for component, container in containers(objects):
        ports = {port["name"] for port in container["ports"]}
        probes = ["livenessProbe", "readinessProbe"] + ["startupProbe"] * (component != "edge")
        for probe in probes:
            ((_, action),) = ((k, v) for k, v in container[probe].items() if k in ("httpGet", "tcpSocket"))
            assert action["port"] in ports


def test_every_volume_is_mounted_and_every_mount_is_a_volume(objects: list[chart.Object]) -> None:
    for _, pod in pods(objects):
        every = pod["spec"]["containers"] + pod["spec"].get("initContainers", [])
        mounted = {mount["name"] for container in every for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}


def test_a_pod_is_killed_only_after_it_had_its_time_to_drain(objects: list[chart.Object]) -> None:
    for component, pod in pods(objects):
        (container,) = pod["spec"]["containers"]
        stop = container["lifecycle"]["preStop"]
        if component == "edge":
            assert stop["exec"]["command"][-1].endswith("sleep 20")
            needed = 20
        else:
            needed = stop["sleep"]["seconds"] + 30
        assert pod["spec"]["terminationGracePeriodSeconds"] > needed
        if component == "gateway":
            assert environment(container)["PELLUCID_DRAIN_S"] == "30"
        if component == "triton":
            assert "--exit-timeout-secs=30" in container["args"]


def test_what_scales_by_itself_has_no_fixed_number_and_what_does_not_has_one(objects: list[chart.Object]) -> None:
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in objects if one["kind"] == "HorizontalPodAutoscaler"}
    for one in objects:
        if one["kind"] == "Deployment":
            assert ("replicas" in one["spec"]) == (one["metadata"]["name"] not in scaled)


def test_each_budget_and_service_selects_the_pods_of_its_component(objects: list[chart.Object]) -> None:
    labels = {component: pod["metadata"]["labels"] for component, pod in pods(objects)}
    for one in objects:
        if one["kind"] in ("PodDisruptionBudget", "Service"):
            selector = one["spec"]["selector"]
            wanted = selector.get("matchLabels", selector)
            chosen = [component for component, has in labels.items() if wanted.items() <= has.items()]
            assert chosen == [one["metadata"]["labels"]["app.kubernetes.io/component"]]


def test_the_gateway_finds_every_triton_through_a_service_without_an_address() -> None:
    objects = render()
    (gateway,) = (container for component, container in containers(objects) if component == "gateway")
    assert environment(gateway)["PELLUCID_TRITON_ADDRESS"] == "dns:///demo-pellucid-triton:8001"
    service = find(objects, "Service", "triton")
    assert service["spec"]["clusterIP"] == "None"
    assert 8001 in {port["port"] for port in service["spec"]["ports"]}


def test_every_variable_of_ours_is_a_setting_of_the_gateway(objects: list[chart.Object]) -> None:
    known = {f"PELLUCID_{name.upper()}" for name in Settings.model_fields}
    for _, container in containers(objects):
        given = {name for name in environment(container) if name.startswith("PELLUCID_")}
        assert given <= known


def test_a_gpu_is_asked_for_unless_there_is_to_be_none() -> None:
    limits = [
        dict(containers(render({"triton": {"gpus": gpus}})))["triton"]["resources"]["limits"].get("nvidia.com/gpu")
        for gpus in (0, 1, 2)
    ]
    assert limits == [None, 1, 2]


def test_models_come_from_a_volume_that_cannot_be_written_or_from_object_storage() -> None:
    for component, pod in pods(render()):
        claims = [volume["persistentVolumeClaim"] for volume in pod["spec"]["volumes"] if volume["name"] == "models"]
        readers = component in ("gateway", "triton")
        assert claims == [{"claimName": "pellucid-models", "readOnly": True}] * readers
    stored = render({"repository": STORAGE})
    assert not [v for _, pod in pods(stored) for v in pod["spec"]["volumes"] if v["name"] == "models"]
    found = dict(containers(stored))
    assert "--model-repository=s3://bucket/models" in found["triton"]["args"]
    assert environment(found["gateway"])["PELLUCID_MODEL_REPOSITORY"] == "s3://bucket/models"
    for component in ("gateway", "triton"):
        assert found[component]["envFrom"] == [{"secretRef": {"name": "bucket-keys"}}]
    assert "envFrom" not in found["edge"]


def test_with_a_key_triton_loads_only_after_the_manifest_was_verified() -> None:
    objects = render({"repository": {"manifestKeySecret": "release-key"}})
    (first,) = find(objects, "Deployment", "triton")["spec"]["template"]["spec"]["initContainers"]
    assert first["args"] == ["verify-manifest", "/models", "--key", "/run/manifest/manifest.pub"]
    gateway = dict(containers(objects))["gateway"]
    assert first["image"] == gateway["image"]
    assert environment(gateway)["PELLUCID_MANIFEST_KEY"] == "/run/manifest/manifest.pub"
    assert "initContainers" not in find(render(), "Deployment", "triton")["spec"]["template"]["spec"]


def test_secrets_are_files_and_never_in_the_objects() -> None:
    gateway = find(render(EVERYTHING), "Deployment", "gateway")["spec"]["template"]["spec"]
    secrets = {v["name"]: v["secret"]["secretName"] for v in gateway["volumes"] if "secret" in v}
    assert secrets == {"callers": "pellucid-callers", "tls": "gateway-tls", "manifest-key": "release-key"}
    assert "Secret" not in {one["kind"] for one in render(EVERYTHING)}


@pytest.mark.parametrize(
    "values",
    [
        {"gatway": {}},
        {"gateway": {"replicas": 0}},
        {"gateway": {"image": {"repository": "gateway", "digest": "sha256:12"}}},
        {"gateway": {"env": {"log level": "x"}}},
        {"triton": {"gpus": -1}},
        {"triton": {"resources": {"limits": {"memory": None}}}},
        {"edge": {"service": {"type": "Loadbalancer"}}},
        {"repository": {"claim": ""}},
        {"repository": {"triton": "s3://bucket/models"}},
        {"monitoring": {"otlpEndpoint": "collector:4318"}},
    ],
)
def test_values_that_would_fail_later_are_refused_by_the_schema(values: Mapping[str, Any]) -> None:
    with pytest.raises(helm.HelmError, match="schema"):
        render(values)


def test_certificates_of_clients_and_the_edge_exclude_each_other() -> None:
    with pytest.raises(helm.HelmError, match=r"gateway\.tls\.mutual shuts the edge out"):
        render({"gateway": {"tls": {"secret": "gateway-tls", "mutual": True}}})


def test_every_default_is_described_by_the_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert defaults.keys() | {"global"} == schema["properties"].keys()
    for part, values in defaults.items():
        assert values.keys() == schema["properties"][part]["properties"].keys()


def test_an_image_is_pinned_by_its_digest_where_one_is_given() -> None:
    digest = f"sha256:{'ab' * 32}"
    images = {c: one["image"] for c, one in containers(render({"triton": {"image": {"digest": digest}}}))}
    assert images["triton"] == f"nvcr.io/nvidia/tritonserver:25.04-py3@{digest}"
    assert images["gateway"] == "pellucid-gateway:0.1.0"
    assert images["edge"].startswith("envoyproxy/envoy:v1.39.1@sha256:")


def test_the_notes_say_what_is_missing() -> None:
    with helm.Chart.load(str(CHART)) as loaded:
        notes = loaded.render({}, name="demo", namespace="prod")["pellucid/templates/NOTES.txt"]
    assert "kubectl --namespace prod create secret generic pellucid-callers --from-file=callers.yaml" in notes
    assert "Manifests are not verified" in notes
