from pathlib import Path
from typing import Any

import pytest

from pellucid_triton.errors import InvalidSettingError
from pellucid_triton.settings import Settings, default_cache_dir


def test_the_cache_is_below_xdg_cache_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "pellucid" / "triton"
    assert Settings(tmp_path).cache_dir == default_cache_dir()


def test_without_xdg_cache_home_the_cache_is_below_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache" / "pellucid" / "triton"


def test_a_repository_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match=f"repository: {tmp_path / 'none'} is not a directory"):
        Settings(tmp_path / "none")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"grpc_port": 65536}, "grpc_port: 65536 is not within 0..65535"),
        ({"http_port": -1}, "http_port: -1 is not within 0..65535"),
        ({"threads": -2}, "threads: -2 is below 0"),
        ({"stop_grace_s": 0.0}, "stop_grace_s: 0.0 is not above 0"),
    ],
)
def test_values_outside_their_limits_are_refused(tmp_path: Path, setting: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettingError, match=message):
        Settings(tmp_path, **setting)
