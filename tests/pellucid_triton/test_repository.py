from pathlib import Path

import pytest

from pellucid_triton.repository import model_names, wants_pytorch


def _write(repository: Path, name: str, configuration: str) -> None:
    (repository / name).mkdir()
    (repository / name / "config.pbtxt").write_text(configuration)


def test_only_directories_with_a_configuration_are_models(tmp_path: Path) -> None:
    _write(tmp_path, "faces", 'backend: "onnxruntime"')
    _write(tmp_path, "ages", 'backend: "onnxruntime"')
    (tmp_path / ".cache").mkdir()
    (tmp_path / "README.md").touch()
    assert model_names(tmp_path) == ("ages", "faces")


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ('backend: "onnxruntime"\nmax_batch_size: 4', False),
        ('name: "faces"\nbackend: "pytorch"', True),
        ('platform : "pytorch_libtorch"', True),
        ('backend: "onnxruntime" # not backend: "pytorch"', False),
    ],
)
def test_torchscript_is_recognised_by_its_backend(tmp_path: Path, configuration: str, expected: bool) -> None:
    _write(tmp_path, "faces", configuration)
    assert wants_pytorch(tmp_path) is expected
