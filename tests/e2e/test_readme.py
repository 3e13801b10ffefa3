"""What the README shows is run as it stands there, but for the address."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pellucid_client.demo.stack import Stack
from tests.e2e.conftest import ROOT

pytestmark = pytest.mark.stack
README = (ROOT / "README.md").read_text()
CLIENT_LINES = re.findall(r"^    (pellucid (?:generate|edit|axes list) .*)$", README, re.MULTILINE)


def test_the_python_example_makes_its_picture(stack: Stack, tmp_path: Path) -> None:
    [example] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    program = example.replace("127.0.0.1:50051", stack.facts["gateway"])
    assert program != example
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)
    with Image.open(tmp_path / "happier.png") as made:
        assert made.size == (64, 64)


def test_the_line_of_curl_makes_its_picture(stack: Stack, tmp_path: Path) -> None:
    [line] = re.findall(r"^    (curl .*)$", README, re.MULTILINE)
    command = shlex.split(line.replace("127.0.0.1:8080", stack.facts["edge"]))
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    with Image.open(tmp_path / "happier.jpg") as made:
        assert (made.format, made.size) == ("JPEG", (64, 64))


def test_the_readme_shows_the_command_s_three_main_uses() -> None:
    assert [line.split()[1] for line in CLIENT_LINES] == ["generate", "edit", "axes"]


@pytest.mark.parametrize("line", CLIENT_LINES)
def test_each_command_line_works(stack: Stack, tmp_path: Path, line: str) -> None:
    command = [sys.executable, "-m", "pellucid_client", *shlex.split(line)[1:], "--target", stack.facts["gateway"]]
    done = subprocess.run(command, cwd=tmp_path, check=True, timeout=60, capture_output=True, text=True)
    if "--out" in line:
        [file] = (tmp_path / "faces").iterdir()
        with Image.open(file) as made:
            assert made.size == (64, 64)
    else:
        assert "happiness" in done.stdout
