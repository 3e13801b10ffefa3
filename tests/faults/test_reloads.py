"""A model is loaded again and again while requests come in."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from pellucid.v1 import admin_service_pb2, admin_service_pb2_grpc
from pellucid_client.demo.stack import Stack
from pellucid_gateway.identity import api_keys
from tests.e2e.conftest import START_TIMEOUT_S
from tests.faults.conftest import Loading
from tests.faults.load import MODEL
from tests.pellucid_gateway.identity import roster

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
ADMIN, CALLER = api_keys.create_key(), api_keys.create_key()


@pytest.fixture
def own(repository: Path, tmp_path: Path) -> Path:
    """A repository in which files may be touched, with one model; the model's folder."""
    return Path(shutil.copytree(repository / "digiface", tmp_path / "repository" / "digiface"))


@pytest.fixture
def stack(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    callers = [roster.caller("operations", ADMIN, admin=True), roster.caller("studio", CALLER, models=("digiface",))]
    monkeypatch.setenv("PELLUCID_CALLERS_FILE", str(roster.write(tmp_path / "callers.yaml", *callers)))
    with Stack.of_repository(own.parent, tmp_path / "log", START_TIMEOUT_S) as started:
        yield started


async def test_model_reloaded(stack: Stack, own: Path, loading: Loading, enough: int, is_long: bool) -> None:
    reloads = 50 if is_long else 5
    async with (
        grpc.aio.insecure_channel(stack.facts["gateway"]) as channel,
        loading(stack.facts["gateway"], CALLER) as load,
    ):
        admin = admin_service_pb2_grpc.AdminServiceStub(channel)
        await load.answers(enough)
        for _ in range(reloads):
            # What has not changed is not loaded again.
            os.utime(own / "1" / "model.onnx")
            request = admin_service_pb2.ReloadModelRequest(name=MODEL)
            answer = await admin.ReloadModel(request, timeout=60, metadata=(("x-api-key", ADMIN),))
            assert answer.model.name == MODEL
            await load.answers(3)
        await load.answers(enough)
    assert not load.tally.refused
    assert loads(stack) == 1 + reloads


def loads(stack: Stack) -> int:
    return Path(stack.facts["triton_log"]).read_text().count("successfully loaded 'digiface'")
