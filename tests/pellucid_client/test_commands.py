import json
from pathlib import Path

import grpc
import numpy as np
import PIL.Image
import pytest
import typer

from pellucid.v1 import image_pb2, model_pb2, translation_service_pb2
from pellucid_client import Distance, Steps, Sweep, Target
from pellucid_client.commands import arguments
from pellucid_client.commands.connection import EXIT_CODES, exit_code
from pellucid_client.status import ERRORS
from tests.pellucid_client.commands import lines, run
from tests.pellucid_client.faults import Fault
from tests.pellucid_client.servicers import ToyGateway


@pytest.fixture(autouse=True)
def _target(target: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PELLUCID_TARGET", target)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def pixel(path: str | Path) -> tuple[int, ...]:
    with PIL.Image.open(path) as image:
        return tuple(int(value) for value in np.asarray(image)[0, 0])


def test_models_alone_lists_them(gateway: ToyGateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models") == 0
    listed = capsys.readouterr().out
    assert "toy" in listed
    assert "available" in listed
    gateway.state = model_pb2.STATE_UNAVAILABLE
    assert run("models", "list") == 0
    assert "unavailable: still loading" in capsys.readouterr().out


def test_models_and_axes_are_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "--json") == 0
    assert [model["name"] for model in json.loads(lines(capsys)[0])] == ["models/labels", "models/toy"]
    assert run("models", "show", "toy", "--json") == 0
    assert json.loads(lines(capsys)[0])["displayName"] == "Toy"
    assert run("axes", "--json") == 0
    assert len(json.loads(lines(capsys)[0])) == 6
    assert run("axes", "show", "toy", "happiness", "--json") == 0
    assert json.loads(lines(capsys)[0])["extractor"] == "models/labels#happiness"


def test_axes_are_shown_with_what_is_known_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("axes", "list", "toy") == 0
    assert "R2 0.50 [0.45, 0.55]" in capsys.readouterr().out
    assert run("axes", "show", "toy", "happiness") == 0
    assert "+0.40" in capsys.readouterr().out
    assert run("models", "show", "toy") == 0
    assert "TASK_GENERATE" in capsys.readouterr().out


def test_a_card_is_shown_with_its_long_lists_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models", "show", "toy") == 0
    shown = capsys.readouterr().out
    assert "'breed 7', '... 2 more']" in shown
    assert "breed 8" not in shown
    assert run("models", "show", "toy", "--json") == 0
    assert json.loads(lines(capsys)[0])["classes"]["names"] == [f"breed {k}" for k in range(10)]


def test_generate_writes_images_recipes_and_a_sheet(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--seed", "5", "--count", "3", "--format", "png", "--out", "faces", "--recipes", "--sheet", "sheet.png"]
    assert run("generate", "toy", *words, "--json") == 0
    printed = [json.loads(line) for line in lines(capsys)]
    assert [one["path"] for one in printed] == [f"faces/{k:06d}.png" for k in range(3)]
    assert [one["recipe"]["seed"] for one in printed] == ["5", "6", "7"]
    assert [pixel(one["path"]) for one in printed] == [(seed, 100, 100) for seed in (5, 6, 7)]
    assert json.loads(Path("faces/000001.json").read_text())["seed"] == "6"
    with PIL.Image.open("sheet.png") as sheet:
        assert sheet.width > 3 * 96


def test_generate_takes_several_seeds_or_latents(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("generate", "toy", "--seed", "9", "--seed", "3", "--format", "png") == 0
    assert [pixel(f"images/00000{k}.png")[0] for k in range(2)] == [9, 3]
    np.save("latents.npy", np.array([[4.0, 1.0, 0.0]]))
    assert run("generate", "toy", "--latents", "latents.npy", "--format", "png", "--out", "other") == 0
    assert pixel("other/000000.png") == (4, 110, 100)
    assert "wrote 1 images to other" in capsys.readouterr().out
    assert run("generate", "toy", "--seed", "1", "--seed", "2", "--count", "3") == 2


def test_edit_moves_locks_sweeps_and_warns(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["7..8", "--move", "happiness:5", "--lock", "masculine", "--sweep", "other:0,1", "--format", "png"]
    assert run("edit", "toy", *words, "--json", "--sheet", "sheet.png") == 0
    captured = capsys.readouterr()
    printed = [json.loads(line) for line in captured.out.splitlines()]
    assert [pixel(one["path"]) for one in printed] == [(s, g, 100) for s in (7, 8) for g in (150, 160)]
    assert printed[1]["axisMoves"] == [{"axis": "happiness", "steps": 5.0}, {"axis": "other", "steps": 1.0}]
    assert "warning: image 0: happiness is beyond 4 steps" in captured.err


def test_edit_starts_from_a_recipe_file() -> None:
    assert run("edit", "toy", "7", "--move", "masculine:1", "--recipes", "--out", "first") == 0
    assert run("edit", "toy", "first/000000.json", "--move", "masculine:1", "--format", "png", "--out", "second") == 0
    assert pixel("second/000000.png") == (7, 100, 120)


def test_interpolate_writes_a_walk() -> None:
    assert run("interpolate", "toy", "0", "8", "--frames", "2", "--format", "webp", "--sheet", "sheet.png") == 0
    assert [pixel(f"images/00000{k}.webp")[0] for k in range(3)] == [0, 4, 8]


def test_analyze_measures_files_and_names_bad_ones(capsys: pytest.CaptureFixture[str]) -> None:
    PIL.Image.new("RGB", (4, 4), (0, 130, 110)).save("good.png")
    Path("bad.png").write_text("rubbish")
    assert run("analyze", "labels", "good.png") == 0
    assert "3" in capsys.readouterr().out
    assert run("analyze", "labels", "good.png", "bad.png", "--json") == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"path": "good.png", "labels": {"happiness": 3.0, "masculine": 1.0}}
    assert captured.err == "bad.png:\nerror: no picture\n"


def test_an_error_is_a_line_with_the_fields_below_it(gateway: ToyGateway, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.faults.append(Fault(grpc.StatusCode.INVALID_ARGUMENT, violations=(("seeds.count", "70 is above 64"),)))
    assert run("generate", "toy") == 3
    assert capsys.readouterr().err == "error: toy INVALID_ARGUMENT\n  seeds.count: 70 is above 64\n"


@pytest.mark.parametrize(
    ("code", "exit_"),
    [
        (grpc.StatusCode.NOT_FOUND, 3),
        (grpc.StatusCode.FAILED_PRECONDITION, 3),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 4),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 4),
        (grpc.StatusCode.INTERNAL, 1),
    ],
)
def test_the_exit_code_tells_what_kind_of_error_it_was(gateway: ToyGateway, code: grpc.StatusCode, exit_: int) -> None:
    gateway.faults.append(Fault(code, retry_after_s=3600))
    assert run("models") == exit_


def test_every_error_has_an_exit_code() -> None:
    assert {exit_code(kind("")) for kind in ERRORS.values()} == set(EXIT_CODES.values())


def test_the_key_and_the_time_are_options(gateway: ToyGateway, capsys: pytest.CaptureFixture[str]) -> None:
    gateway.faults.append(Fault(after_s=3))
    assert run("models", "--timeout", "0.2", "--api-key", "secret") == 4
    assert gateway.metadata[0]["authorization"] == "Bearer secret"


def test_moves_and_sweeps_are_read_with_their_units() -> None:
    assert arguments.moves(["a:2", "b:target:0.9", "c:distance:-0.4"]) == {
        "a": Steps(2.0),
        "b": Target(0.9),
        "c": Distance(-0.4),
    }
    assert arguments.sweep("a:-2..1") == Sweep("a", [-2.0, -1.0, 0.0, 1.0], Steps)
    assert arguments.sweep("age:target:20,45.5") == Sweep("age", [20.0, 45.5], Target)
    assert arguments.sweep(None) is None


@pytest.mark.parametrize("text", ["a:-inf..inf", "a:1.5..2.5", "a:0..256", "a:4..-4", "a:0..1" + "0" * 30])
def test_a_sweep_of_other_than_1_to_256_whole_numbers_is_named(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=text):
        arguments.sweep(text)


def test_one_range_of_seeds_alone_stays_a_range() -> None:
    assert arguments.sources(["0..999999"]) == range(1_000_000)
    assert arguments.sources(["0..2", "7"]) == [0, 1, 2, 7]


def test_edit_sends_one_range_of_seeds_as_two_numbers(gateway: ToyGateway, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("edit", "toy", "5..7", "--move", "happiness:1") == 0
    assert (gateway.requests[0].seeds.first, gateway.requests[0].seeds.count) == (5, 3)
    assert "wrote 3 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["generate", "toy", "--latents", "missing.npy"],
        ["generate", "toy", "--latents", "empty.npy"],
        ["generate", "toy", "--count", "10000000000"],
        ["generate", "toy", "--sheet", "sheet.xyz"],
        ["edit", "toy", "1", "--sweep", "happiness:-inf..inf"],
        ["edit", "toy", "0..1000000000", "--move", "happiness:1"],
    ],
)
def test_a_wrong_value_is_wrong_usage_before_anything_is_made(gateway: ToyGateway, words: list[str]) -> None:
    Path("empty.npy").touch()
    assert run(*words) == 2
    assert gateway.requests == []


@pytest.mark.parametrize("text", ["happiness", ":2", "a:b:2", "a:steps:2:3", "a:much"])
def test_a_move_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=text):
        arguments.moves([text])


def test_an_axis_moved_twice_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="a is moved twice"):
        arguments.moves(["a:1", "a:2"])


@pytest.mark.parametrize("text", ["seven", "1..x", "2..1", "0..1000000", "missing.json", "missing.npy"])
def test_a_source_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=text):
        arguments.sources([text])


@pytest.mark.parametrize(
    ("names", "words", "time_s", "priority"),
    [
        (["a.png"], [], 600, image_pb2.PRIORITY_INTERACTIVE),
        (["a.png", "b.png", "c.png"], [], 1800, image_pb2.PRIORITY_UNSPECIFIED),
        (["a.png", "b.png"], ["--timeout", "50"], 50, image_pb2.PRIORITY_UNSPECIFIED),
    ],
)
def test_translations_have_as_much_time_as_there_are_sources(
    gateway: ToyGateway, names: list[str], words: list[str], time_s: float, priority: int
) -> None:
    for name in names:
        Path(name).write_bytes(name.encode())
    refused = {"code": grpc.StatusCode.INVALID_ARGUMENT.value[0], "message": "no picture"}
    gateway.translator.script = [
        translation_service_pb2.StreamTranslateResponse(index=index, error=refused, last=True)
        for index in range(len(names))
    ]
    assert run("translate", "toy", *names, *words) == 1
    assert gateway.translator.times_s == [pytest.approx(time_s, abs=30)]
    assert gateway.translator.starts[0].priority == priority
