import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from pellucid.v1.model_pb2 import Version
from pellucid_export import triton
from pellucid_export.errors import RepositoryError
from pellucid_export.family import Signature, Tensor
from pellucid_export.form import Form
from pellucid_export.repository import Repository, check_name, write_version

pytestmark = pytest.mark.torch

FORM = Form("any", "sha256:0", max_batch_size=2)
SIGNATURE = Signature((Tensor("latent", "float32", (2,)),), (Tensor("image", "uint8", (1, 1, 3), 0, 255),))


def stage(staging: Path, name: str, version: str, card: str = "{}") -> Path:
    """A model without a graph, ready to be published."""
    folder = staging / name
    (folder / version).mkdir(parents=True)
    triton.write(triton.configure(name, SIGNATURE, FORM, {triton.CARD: card}), folder / "config.pbtxt")
    write_version(Version(name=version, weights_digest=f"sha256:{version}"), folder / version)
    return folder


def publish(repository: Repository, name: str, version: str, card: str = "{}") -> Path:
    with repository.staging() as staging:
        return repository.publish(stage(staging, name, version, card), name, version)


def test_versions_are_found_by_number(repository: Repository) -> None:
    for number in range(1, 11):
        publish(repository, "faces", str(number))
    assert repository.versions("faces") == list(range(1, 11))
    assert repository.directory("faces").name == "10"
    assert repository.directory("faces", 2).name == "2"
    assert repository.version("faces", 7).weights_digest == "sha256:7"


def test_names_are_those_of_models_with_a_card(repository: Repository) -> None:
    publish(repository, "faces", "1")
    (repository.root / "notes").mkdir()
    (repository.root / "plain").mkdir()
    triton.write(triton.configure("plain", SIGNATURE, FORM, {}), repository.root / "plain" / "config.pbtxt")
    assert repository.names() == ["faces"]


def test_what_is_missing_is_named(repository: Repository) -> None:
    publish(repository, "faces", "1")
    with pytest.raises(RepositoryError, match="no model 'cats'"):
        repository.card("cats")
    with pytest.raises(RepositoryError, match=r"'faces' has no version 3 in .*; it has: 1"):
        repository.directory("faces", 3)
    with pytest.raises(RepositoryError, match=r"'faces' has no parameter pellucid\.export"):
        repository.form("faces")
    (repository.root / "faces" / "1" / "version.json").write_text("{")
    with pytest.raises(RepositoryError, match=r"version\.json of 'faces' version 1"):
        repository.version("faces")


def test_an_unreadable_card_is_an_error_of_its_own(repository: Repository) -> None:
    publish(repository, "faces", "1", card='{"colour": "red"}')
    with pytest.raises(RepositoryError, match=r"unreadable card.*colour"):
        repository.card("faces")


def test_a_failure_while_staging_leaves_nothing(repository: Repository) -> None:
    with pytest.raises(FileExistsError), repository.staging() as staging:
        (stage(staging, "faces", "1") / "config.pbtxt").mkdir()
    assert list(repository.root.iterdir()) == []


def test_a_version_that_appeared_meanwhile_is_not_overwritten(repository: Repository) -> None:
    published = publish(repository, "faces", "1")
    before = (published / "version.json").read_bytes()
    with pytest.raises(OSError, match="not empty"):
        publish(repository, "faces", "1")
    assert (published / "version.json").read_bytes() == before


def _stage_and_hang(root: Path, staged: Event) -> None:
    with Repository(root).staging() as staging:
        stage(staging, "faces", "1")
        staged.set()
        time.sleep(60)


def test_a_killed_export_leaves_no_model_and_is_swept_by_the_next(repository: Repository) -> None:
    context = multiprocessing.get_context("spawn")
    staged = context.Event()
    process = context.Process(target=_stage_and_hang, args=(repository.root, staged))
    process.start()
    assert staged.wait(60)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert repository.names() == []
    assert not list(repository.root.glob("[!.]*"))
    publish(repository, "cats", "1")
    assert [path.name for path in repository.root.iterdir()] == ["cats"]


@pytest.mark.parametrize("name", ["faces", "digiface-64", "a", "0_1", "x" * 63])
def test_good_names_pass(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "Faces", "../faces", "faces.mapping", ".partial", "-x", "a b", "x" * 64])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(RepositoryError, match="1 to 63 lower-case letters"):
        check_name(name)
