import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from pellucid_export import commands
from pellucid_export.repository import Repository

pytestmark = pytest.mark.torch

APP = typer.Typer()
APP.command()(commands.export)
APP.command()(commands.verify)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(APP, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def test_importing_the_commands_brings_neither_torch_nor_a_runtime() -> None:
    program = (
        "import sys, pellucid_export.commands; print({'torch', 'onnxruntime', 'onnx', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_file_is_exported_and_verified_and_the_second_export_does_nothing(
    dcgan_file: Path, repository: Repository
) -> None:
    chosen = ("--max-batch-size", 2, "--license", "CC0-1.0", "--option", "pixels=float32")
    arguments = ("export", "dcgan", dcgan_file, "--name", "tiny", "--repository", repository.root, *chosen)
    first = run(*arguments)
    assert first.exit_code == 0, first.output
    assert "tiny version 1" in first.output
    assert "EXACT" in first.output
    again = run(*arguments)
    assert "'tiny' version 1 holds these weights in this form already" in again.output
    card = repository.card("tiny")
    assert (card.license, card.display_name, card.max_batch_size) == ("CC0-1.0", "tiny", 2)
    verified = run("verify", "tiny", "--repository", repository.root, "--checkpoint", dcgan_file)
    assert verified.exit_code == 0, verified.output
    assert "as published" in verified.output


def test_a_second_export_needs_no_torch(dcgan_file: Path, repository: Repository) -> None:
    arguments = ["dcgan", str(dcgan_file), "--name", "tiny", "--repository", str(repository.root)]
    assert run("export", *arguments).exit_code == 0
    program = (
        "import sys, typer\n"
        "from pellucid_export.commands import export\n"
        "app = typer.Typer()\n"
        "app.command()(export)\n"
        f"app({arguments!r}, standalone_mode=False)\n"
        "print({'torch', 'onnxruntime', 'onnx'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "nothing to do" in done.stdout
    assert done.stdout.strip().endswith("set()")


def test_a_damaged_model_fails_verification(dcgan_file: Path, repository: Repository) -> None:
    run("export", "dcgan", dcgan_file, "--name", "tiny", "--repository", repository.root)
    graph = repository.directory("tiny") / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    verified = run("verify", "tiny", "--repository", repository.root)
    assert verified.exit_code == 1
    assert "as published" not in verified.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing",), "'nothing' is no entry of the zoo; known: digiface"),
        (("vae", "FILE", "--name", "x"), "unknown family 'vae'"),
        (("dcgan", "FILE"), "give --name"),
        (("dcgan", "absent.pth", "--name", "x"), "absent.pth: no such file"),
        (("dcgan", "FILE", "--name", "X"), "model name 'X' must be"),
        (("dcgan", "FILE", "--name", "x", "--option", "pixels"), "option 'pixels' must be NAME=VALUE"),
        (("dcgan", "FILE", "--name", "x", "--pixels", "int4"), "'pixels' must be one of uint8, float32"),
    ],
)
def test_mistakes_are_told_in_a_line_and_write_nothing(
    dcgan_file: Path, repository: Repository, arguments: tuple[str, ...], message: str
) -> None:
    given = [str(dcgan_file) if argument == "FILE" else argument for argument in arguments]
    result = run("export", *given, "--repository", repository.root)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert not repository.root.exists()


def test_the_list_shows_entries_and_families_with_their_options() -> None:
    result = run("export", "--list")
    assert result.exit_code == 0, result.output
    assert "digiface" in result.output
    assert "pixels=uint8" in result.output


def test_a_malicious_checkpoint_is_told_in_a_line(tmp_path: Path, repository: Repository) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[()]]:
            return (tmp_path / "executed").touch, ()

    torch.save(Bomb(), tmp_path / "bomb.pth")
    result = run("export", "dcgan", tmp_path / "bomb.pth", "--name", "x", "--repository", repository.root)
    assert result.exit_code == 1
    assert "nothing of it was executed" in " ".join(result.output.split())
    assert not (tmp_path / "executed").exists()
    assert not repository.root.exists()
