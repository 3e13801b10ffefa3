import subprocess
import sys
from pathlib import Path

import pytest

from tests.pellucid_client.commands import NAMES, lines, run

LAZY = """
import sys
from tests.pellucid_client.commands import run
code = run(*sys.argv[1:], gateway="pellucid_gateway.__main__:main", export="pellucid_export.commands:export")
ours = [name for name in sys.modules if name.startswith(("pellucid_client.commands", "pellucid_client.demo"))]
print(ours + [name for name in ("torch", "pellucid_gateway", "pellucid_export") if name in sys.modules])
sys.exit(code)
"""


def test_help_lists_every_command_with_the_first_line_of_its_documentation(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    shown = dict(line.strip().split(maxsplit=1) for line in lines(capsys) if line.startswith("  "))
    assert set(shown) == {name.partition(".")[0] for name in NAMES}
    assert shown["generate"] == "Generate images from seeds or latents."
    assert shown["axes"] == "list, show"


def test_no_command_at_all_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert "Exit codes: 0 done; 1 failed; 2 wrong usage" in capsys.readouterr().out


def test_help_of_a_group_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("axes", "--help") == 0
    assert "  list  List a model's axes with what is known of them." in lines(capsys)


def test_help_of_a_command_tells_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("edit", "--help") == 0
    shown = capsys.readouterr().out
    for option in ("--move", "--lock", "--sweep", "--target", "--format", "--sheet", "--json", "--truncation"):
        assert option in shown


def test_help_imports_no_command() -> None:
    shown = subprocess.run([sys.executable, "-c", LAZY, "--help"], capture_output=True, text=True, check=True)
    assert "gateway" in shown.stdout
    assert shown.stdout.splitlines()[-1] == "[]"


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generat") == 2
    assert capsys.readouterr().err == "error: pellucid has no command generat; did you mean generate?\n"
    assert run("axes", "shwo") == 2
    assert capsys.readouterr().err == "error: pellucid axes has no command shwo; did you mean show?\n"


def test_a_missing_extra_says_which_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "pellucid_weather"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "early.py").write_text('import barometer_x\n\ndef tell() -> None:\n    """Tell the weather."""\n')
    (package / "late.py").write_text("def tell() -> None:\n    import barometer_x\n")
    (package / "broken.py").write_text("from pellucid_weather import storm_x\nimport pellucid_weather.storm_x\n")
    monkeypatch.syspath_prepend(tmp_path)
    expected = "error: this command needs the extra weather: pip install 'pellucid[weather]'"
    for module in ("early", "late"):
        assert run("weather", weather=f"pellucid_weather.{module}:tell") == 2
        assert capsys.readouterr().err.startswith(expected)
    assert run("away", away="pellucid_away.commands:tell") == 2
    assert "pip install 'pellucid[away]'" in capsys.readouterr().err
    assert run("--help", weather="pellucid_weather.early:tell", away="pellucid_away.commands:tell") == 0
    shown = capsys.readouterr().out
    assert "Tell the weather." in shown
    assert "(not installed: pip install 'pellucid[away]')" in shown
    with pytest.raises(ImportError, match="storm_x"):
        run("weather", weather="pellucid_weather.broken:tell")


def test_the_module_runs_as_the_command() -> None:
    shown = subprocess.run([sys.executable, "-m", "pellucid_client", "--version"], capture_output=True, text=True)
    assert (shown.returncode, shown.stdout) == (0, "0.1.0\n")
