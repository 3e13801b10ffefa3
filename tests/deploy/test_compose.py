import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pellucid_gateway.settings import Settings

ROOT = Path(__file__).parents[2]
FILES = (ROOT / "docker-compose.yml", ROOT / "deploy" / "compose" / "dashboards.yaml")
COMPOSE = yaml.safe_load(FILES[0].read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {"gateway"}


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> Any:
    return SERVICES[request.param]


def schema_check(*files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_files_follow_the_compose_specification(tmp_path: Path) -> None:
    done = schema_check(*FILES)
    assert done.returncode == 0, done.stdout
    (tmp_path / "wrong.yml").write_text(FILES[0].read_text().replace("stop_grace_period", "stop_grace"))
    assert schema_check(tmp_path / "wrong.yml").returncode == 1


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_docker_compose_reads_them(profile: str) -> None:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("the docker client here has no compose")
    files = [argument for file in FILES for argument in ("-f", str(file))]
    command = [docker, "compose", *files, "--profile", profile, "config", "--format", "json"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)
    assert {"gateway", "edge", "triton" if profile == "cpu" else "triton-gpu"} <= told["services"].keys()


def test_nobody_is_root_and_nothing_is_written_outside_of_volumes(service: Any) -> None:
    user = re.sub(r"^\$\{PELLUCID_USER:-(.+)\}$", r"\1", service["user"])
    assert int(user.split(":")[0]) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


def test_every_service_has_limits(service: Any) -> None:
    assert {"cpus", "memory", "pids"} == service["deploy"]["resources"]["limits"].keys()


def test_every_service_is_asked_for_its_health() -> None:
    unasked = {name for name, one in SERVICES.items() if "test" not in one.get("healthcheck", {})}
    # The gateway's image brings its own; the collector's has nothing to ask with.
    assert unasked == {"gateway", "otel-collector"}
    assert "HEALTHCHECK" in (ROOT / SERVICES["gateway"]["build"]["dockerfile"]).read_text()


def test_only_the_gateway_and_the_edge_are_published_and_on_loopback() -> None:
    published = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one}
    assert published == {"gateway": ["127.0.0.1:50051:50051"], "edge": ["127.0.0.1:8080:8080"]}
    for one in yaml.safe_load(FILES[1].read_text())["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in one["ports"])


def test_triton_is_on_a_network_without_a_way_out_and_the_edge_is_not_on_it() -> None:
    assert COMPOSE["networks"]["inference"] == {"internal": True}
    for triton in ("triton", "triton-gpu"):
        assert list(SERVICES[triton]["networks"]) == ["inference"]
    assert SERVICES["edge"]["networks"] == ["front"]


def test_both_profiles_run_the_same_triton_under_the_same_name_and_one_has_a_gpu() -> None:
    cpu, gpu = SERVICES["triton"], SERVICES["triton-gpu"]
    assert (cpu["profiles"], gpu["profiles"]) == (["cpu"], ["gpu"])
    assert gpu["networks"]["inference"]["aliases"] == ["triton"]
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    differing = {"profiles", "networks", "deploy"}
    assert {k: v for k, v in cpu.items() if k not in differing} == {k: v for k, v in gpu.items() if k not in differing}


def test_images_of_others_are_pinned_and_by_digest_where_one_is_known() -> None:
    images = {name: one["image"] for name, one in SERVICES.items() if name not in OURS}
    for image in images.values():
        assert re.search(r":[^:@/]*\d[^:@/]*(@sha256:[0-9a-f]{64})?$", image)
    assert {name for name, image in images.items() if "@" not in image} == {"triton", "triton-gpu"}


def test_what_is_mounted_from_here_is_there() -> None:
    mounts = [volume for one in SERVICES.values() for volume in one.get("volumes", [])]
    sources = {mount["source"] if isinstance(mount, dict) else mount.split(":")[0] for mount in mounts}
    made_by_others = {"./secrets", *COMPOSE["volumes"]}
    assert [source for source in sources - made_by_others if not (ROOT / source).is_dir()] == []
    assert (ROOT / "deploy/envoy/envoy.yaml").is_file()
    assert (ROOT / "deploy/prometheus/prometheus.yml").is_file()
    assert (ROOT / "deploy/otel/collector.yaml").is_file()


def test_every_variable_of_ours_is_a_setting_of_the_gateway() -> None:
    known = {f"PELLUCID_{name.upper()}" for name in Settings.model_fields}
    given = {name for name in SERVICES["gateway"]["environment"] if name.startswith("PELLUCID_")}
    assert given <= known


def test_the_gateway_is_killed_only_after_its_time_to_drain() -> None:
    gateway = SERVICES["gateway"]
    assert int(gateway["stop_grace_period"].rstrip("s")) > int(gateway["environment"]["PELLUCID_DRAIN_S"])
