import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILES = ("service/Dockerfile", "export/Dockerfile")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


@pytest.fixture(params=DOCKERFILES)
def dockerfile(request: pytest.FixtureRequest) -> str:
    return (ROOT / request.param).read_text()


def stages(dockerfile: str) -> list[str]:
    return re.split(r"^(?=FROM )", dockerfile, flags=re.MULTILINE)[1:]


def hadolint(text: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("hadolint")), "--no-color", "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True)


def test_hadolint_finds_no_fault(dockerfile: str) -> None:
    done = hadolint(dockerfile)
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_would_have_found_one(dockerfile: str) -> None:
    assert "DL3002" in hadolint(dockerfile.replace("USER 10001:10001", "USER root")).stdout


def test_every_stage_starts_from_the_same_image_by_its_digest() -> None:
    images = {
        re.match(r"FROM (\S+)", stage)[1]  # type: ignore[index]
        for name in DOCKERFILES
        for stage in stages((ROOT / name).read_text())
    }
    (image,) = images
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", image)


def test_what_runs_is_not_root_and_brings_no_tools_that_built_it(dockerfile: str) -> None:
    last = stages(dockerfile)[-1]
    assert re.findall(r"^USER (.+)$", last, re.MULTILINE) == ["10001:10001"]
    assert re.findall(r"^COPY (.+)$", last, re.MULTILINE) == ["--from=build /app/.venv /app/.venv"]
    assert not re.findall(r"^RUN ", last, re.MULTILINE)
    assert re.findall(r"^HEALTHCHECK ", last, re.MULTILINE)
    assert "org.opencontainers.image.revision" in last


def test_packages_come_by_the_hashes_of_the_lock(dockerfile: str) -> None:
    build = stages(dockerfile)[0]
    syncs = re.findall(r"^RUN uv sync (.+)$", build, re.MULTILINE)
    assert len(syncs) == 2
    for sync in syncs:
        assert {"--locked", "--no-dev"} <= set(sync.split())
        assert set(re.findall(r"--extra (\S+)", sync)) <= EXTRAS.keys()
    assert re.findall(r"^RUN pip .*", build, re.MULTILINE) == [
        "RUN pip install --no-cache-dir --require-hashes --only-binary :all: --requirement /uv.txt"
    ]


def test_the_service_image_installs_no_torch() -> None:
    syncs = re.findall(r"^RUN uv sync (.+)$", (ROOT / "service/Dockerfile").read_text(), re.MULTILINE)
    wanted = {
        requirement for sync in syncs for extra in re.findall(r"--extra (\S+)", sync) for requirement in EXTRAS[extra]
    }
    assert "grpcio-reflection>=1.80" in wanted
    assert not [requirement for requirement in wanted if requirement.startswith(("torch", "onnx"))]


def test_the_uv_that_installs_is_the_one_that_wrote_the_lock() -> None:
    pinned = (ROOT / "service/uv.txt").read_text()
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    (locked,) = (package for package in packages if package["name"] == "uv")
    assert f"uv=={locked['version']} " in pinned
    hashes = set(re.findall(r"--hash=(sha256:[0-9a-f]{64})", pinned))
    assert len(hashes) == 2
    assert hashes <= {wheel["hash"] for wheel in locked["wheels"]}
    assert f"UV_VERSION := {locked['version']}\n" in (ROOT / "Makefile").read_text()


def test_only_what_images_are_built_from_reaches_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "*"
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        source
        for name in DOCKERFILES
        for arguments in re.findall(r"^COPY (?!--from)(.+)$", (ROOT / name).read_text(), re.MULTILINE)
        for source in arguments.split()[:-1]
    }
    assert {Path(source).parts[0] for source in copied} == let_in
