from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf import json_format

from pellucid.v1.model_pb2 import DETERMINISM_EXACT, Version
from pellucid_export import source
from pellucid_export.errors import CheckpointError, RepositoryError
from pellucid_export.form import Format
from pellucid_export.repository import Repository, write_version
from pellucid_export.verify import verify
from tests.pellucid_export.conftest import Exporting, state_of, tutorial_dcgan

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("file_format", list(Format))
def test_a_sound_version_is_found_as_published_and_left_alone(
    dcgan_file: Path, export_dcgan: Exporting, repository: Repository, file_format: Format
) -> None:
    directory = export_dcgan(dcgan_file, format=file_format).directory
    before = {path: path.read_bytes() for path in directory.iterdir()}
    [result] = verify(repository, "tiny", checkpoint=dcgan_file)
    assert (result.model, result.fault) == ("tiny", "")
    assert result.measured.parity == result.published.parity
    assert result.measured.determinism == DETERMINISM_EXACT
    assert {path: path.read_bytes() for path in directory.iterdir()} == before


def test_without_the_checkpoint_the_graph_is_not_compared(
    dcgan_file: Path, export_dcgan: Exporting, repository: Repository
) -> None:
    export_dcgan(dcgan_file)
    [result] = verify(repository, "tiny")
    assert result.fault == ""
    assert not result.measured.HasField("parity")
    assert result.measured.determinism == DETERMINISM_EXACT


def test_a_changed_graph_is_found(dcgan_file: Path, export_dcgan: Exporting, repository: Repository) -> None:
    graph = export_dcgan(dcgan_file).directory / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"\0")
    [result] = verify(repository, "tiny", checkpoint=dcgan_file)
    assert "version.json says sha256:" in result.fault
    assert result.measured == Version()


def test_a_graph_of_other_weights_is_found_by_its_output(
    tmp_path: Path, dcgan_file: Path, export_dcgan: Exporting, repository: Repository
) -> None:
    """A graph that somebody exchanged together with its digest."""
    directory = export_dcgan(dcgan_file).directory
    other = tmp_path / "other.pth"
    torch.save(state_of(tutorial_dcgan(1)), other)
    graph = export_dcgan(other, name="other").directory / "model.onnx"
    (directory / "model.onnx").write_bytes(graph.read_bytes())
    version = json_format.Parse((directory / "version.json").read_text(), Version())
    version.file_digest = source.digest(graph)
    write_version(version, directory)
    [result] = verify(repository, "tiny", checkpoint=dcgan_file)
    assert "output 'image' differs by" in result.fault


def test_another_checkpoint_is_refused(
    tmp_path: Path, dcgan_file: Path, export_dcgan: Exporting, repository: Repository
) -> None:
    export_dcgan(dcgan_file)
    state = state_of(tutorial_dcgan(0))
    state["main.0.weight"] = torch.from_numpy(np.nextafter(state["main.0.weight"].numpy(), 9))
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"the checkpoint's weights are sha256:.*version 1 of 'tiny'"):
        verify(repository, "tiny", checkpoint=tmp_path / "other.pth")


def test_an_unknown_model_or_version_is_named(
    dcgan_file: Path, export_dcgan: Exporting, repository: Repository
) -> None:
    export_dcgan(dcgan_file)
    with pytest.raises(RepositoryError, match="no model 'cats'"):
        verify(repository, "cats")
    with pytest.raises(RepositoryError, match="'tiny' has no version 9"):
        verify(repository, "tiny", 9)
