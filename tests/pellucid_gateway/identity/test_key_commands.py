import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from pellucid_gateway import key_commands
from pellucid_gateway.errors import Unauthenticated
from pellucid_gateway.identity.callers import Callers
from tests.pellucid_gateway.identity import roster

APP = typer.Typer()
APP.command("create")(key_commands.create)
APP.command("list")(key_commands.list_keys)
APP.command("revoke")(key_commands.revoke)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "callers.yaml"


def run(path: Path, *words: str) -> Result:
    return CliRunner().invoke(APP, [*words, "--file", str(path)])


def create(path: Path, *words: str) -> str:
    result = run(path, "create", *words)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def test_the_first_key_makes_the_file_which_is_for_its_owner_alone(path: Path) -> None:
    key = create(path, "studio", "--model", "digiface", "--model", "stylegan-*")
    found = Callers(path).directory.by_key(key, 0)
    assert (found.name, found.models, found.is_admin) == ("studio", ("digiface", "stylegan-*"), False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_standard_output_is_the_key_alone_and_the_file_does_not_hold_it(path: Path) -> None:
    key = create(path, "studio", "--model", "*")
    assert key.startswith("pk_")
    assert len(key.split()) == 1
    assert key.rpartition("_")[2] not in path.read_text()


def test_a_caller_may_have_several_keys(path: Path) -> None:
    keys = [create(path, "studio", "--model", "*"), create(path, "studio")]
    directory = Callers(path).directory
    assert [directory.by_key(key, 0).name for key in keys] == ["studio", "studio"]


def test_a_key_may_end(path: Path) -> None:
    key = create(path, "studio", "--model", "*", "--expires", "2999-01-01")
    directory = Callers(path).directory
    assert directory.by_key(key, 32472143999).name == "studio"
    with pytest.raises(Unauthenticated, match="expired"):
        directory.by_key(key, 32472144000)


def test_a_key_that_is_over_from_the_start_is_refused(path: Path) -> None:
    result = run(path, "create", "studio", "--model", "*", "--expires", "2020-01-01")
    assert result.exit_code == 2
    assert "2020-01-01 00:00:00 UTC is over" in result.stderr
    assert not path.exists()


def test_what_else_is_in_the_file_stays(path: Path) -> None:
    before = {
        "callers": [{"name": "studio", "models": ["a"], "admin": True, "subjects": ["ada"], "images_per_minute": 5.0}],
        "tokens": {"models": ["b"]},
    }
    path.write_text(yaml.safe_dump(before))
    create(path, "studio")
    after = yaml.safe_load(path.read_text())
    after["callers"][0].pop("keys")
    assert after == before


def test_a_caller_who_is_not_there_needs_models(path: Path) -> None:
    result = run(path, "create", "studio")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no caller 'studio': say with --model what a new one may use" in result.stderr
    assert not path.exists()


def test_the_models_of_a_caller_who_is_there_are_not_changed(path: Path) -> None:
    create(path, "studio", "--model", "a")
    before = path.read_text()
    result = run(path, "create", "studio", "--model", "b")
    assert (result.exit_code, result.stdout) == (1, "")
    assert path.read_text() == before


def test_a_name_against_the_rules_is_refused_with_the_rule(path: Path) -> None:
    result = run(path, "create", "A b", "--model", "*")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "callers.0.name: String should match pattern" in result.stderr


def test_a_revoked_key_is_nobodys_and_the_callers_others_stay(path: Path) -> None:
    gone, stays = create(path, "studio", "--model", "*"), create(path, "studio")
    assert run(path, "revoke", gone.split("_")[1]).stdout == f"revoked {gone.split('_')[1]}\n"
    directory = Callers(path).directory
    assert directory.by_key(stays, 0).name == "studio"
    with pytest.raises(Unauthenticated):
        directory.by_key(gone, 0)


def test_revoking_what_is_not_there_is_an_error(path: Path) -> None:
    create(path, "studio", "--model", "*")
    result = run(path, "revoke", "nothere")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no key 'nothere'" in result.stderr


def test_the_list_shows_ids_and_times_and_no_secret(path: Path) -> None:
    first = create(path, "studio", "--model", "*", "--expires", "2999-01-01")
    second = create(path, "lab", "--model", "*")
    lines = run(path, "list").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["studio", first.split("_")[1]], ["lab", second.split("_")[1]]]
    assert lines[0].endswith("expires 2999-01-01 00:00")
    assert lines[1].endswith("never expires")
    assert not any(key.split("_")[2] in line for key in (first, second) for line in lines)


def test_the_list_marks_keys_that_are_over(path: Path) -> None:
    over = roster.key_entry("pk_abcd_x", datetime(2026, 1, 2, tzinfo=UTC))
    roster.write(path, {"name": "studio", "models": [], "keys": [over]})
    assert run(path, "list").stdout.endswith("created 2026-01-01 00:00 expires 2026-01-02 00:00 (over)\n")


def test_a_file_that_is_not_there_cannot_be_listed(path: Path) -> None:
    result = run(path, "list")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"error: {path} cannot be read: No such file or directory" in result.stderr


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    result = run(tmp_path / "none" / "callers.yaml", "create", "studio", "--model", "*")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "No such file or directory" in result.stderr
