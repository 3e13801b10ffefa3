"""What docs/edge.md shows for curl is run as it stands there, but for the address and the models of these tests."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from pellucid_edge.process import EdgeProcess

pytestmark = pytest.mark.stack
TEXT = (Path(__file__).parents[2] / "docs" / "edge.md").read_text()
LINES = re.findall(r"^    (?:\$ )?(curl .*)$", TEXT, re.MULTILINE)
[REFUSAL] = re.findall(r"^    ({.*})$", TEXT, re.MULTILINE)
OURS = {"digiface": "paint", "happiness": "red", "masculine": "green"}


async def _run(line: str, edge: EdgeProcess, folder: Path) -> bytes:
    line = line.replace("127.0.0.1:8080", edge.address)
    for theirs, ours in OURS.items():
        line = line.replace(theirs, ours)
    process = await asyncio.create_subprocess_shell(f"{line} --noproxy '*'", cwd=folder, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output


def test_each_kind_of_call_is_shown() -> None:
    shown = {re.findall(r"8080/([^?' ]*)", line)[0].rpartition("/")[2].rpartition(":")[2] for line in LINES}
    assert shown == {"models", "happiness", "render", "generate", "edit", "streamGenerate", "openapi.json", "healthz"}


@pytest.mark.parametrize("line", LINES)
async def test_each_line_works(line: str, edge: EdgeProcess, tmp_path: Path) -> None:
    output = await _run(line, edge, tmp_path)
    if "-o " in line:
        [name] = re.findall(r"-o (\S+)", line)
        with Image.open(tmp_path / name) as picture:
            assert (picture.format, picture.size) == ("JPEG" if name.endswith(".jpg") else "PNG", (8, 8))
    elif "quality=101" in line:
        assert json.loads(output) == json.loads(REFUSAL)
    elif "stream" in line:
        assert "timings" in [json.loads(part) for part in output.splitlines()][-1]
    elif "healthz" not in line:
        assert set(json.loads(output)) & {"models", "axis", "images", "openapi"}
