import re
import resource
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from pellucid_gateway.identity import callers_file
from pellucid_gateway.identity.callers_file import CallerEntry, CallersDocument, CallersFileError, KeyEntry
from tests.pellucid_gateway.identity import roster

WHOLE = """
callers:
  - name: studio
    models: [digiface, stylegan-*]
    admin: true
    images_per_minute: 600
    bytes_per_minute: 1_000_000_000
    keys:
      - {id: abcd, sha256: "%s", created: 2026-01-01T00:00:00Z, expires: 2027-01-01T00:00:00Z}
    subjects: [ada]
    claims: {team: research}
    certificates: [spiffe://pellucid/studio]
tokens: {models: [digiface], images_per_minute: 60}
anonymous: {models: []}
""" % ("0" * 64)


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "callers.yaml"
    path.write_text(WHOLE)
    document = callers_file.read(path)
    key = KeyEntry(
        id="abcd", sha256="0" * 64, created=datetime(2026, 1, 1, tzinfo=UTC), expires=datetime(2027, 1, 1, tzinfo=UTC)
    )
    assert document.callers == [
        CallerEntry(
            name="studio",
            models=["digiface", "stylegan-*"],
            admin=True,
            images_per_minute=600,
            bytes_per_minute=1e9,
            keys=[key],
            subjects=["ada"],
            claims={"team": "research"},
            certificates=["spiffe://pellucid/studio"],
        )
    ]
    assert document.tokens is not None
    assert (document.tokens.models, document.tokens.images_per_minute) == (["digiface"], 60)
    assert document.anonymous is not None
    assert document.anonymous.models == []


def test_the_example_of_the_documentation_is_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "callers.yaml"
    [example] = re.findall("```yaml\n(.*?)```", Path("docs/identity.md").read_text(), re.DOTALL)
    path.write_text(example.replace("6b1f...", "0" * 64))
    document = callers_file.read(path)
    assert [(caller.name, caller.admin) for caller in document.callers] == [
        ("studio", False),
        ("research", False),
        ("operations", True),
    ]
    assert (document.callers[0].images_per_minute, document.callers[0].bytes_per_minute) == (6000, 2e9)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("callers: [{name: a}]", r"callers\.0\.models: Field required"),
        ("callers: [{name: a, models: ['*'], modles: []}]", r"callers\.0\.modles: Extra inputs"),
        ("callers: [{name: a, models: '*'}]", r"callers\.0\.models: Input should be a valid list"),
        ("callers: [{name: 'A b', models: []}]", r"callers\.0\.name: String should match pattern"),
        ("callers: [{name: a, models: [], admin: 'yes'}]", r"callers\.0\.admin: Input should be a valid boolean"),
        ("callers: [{name: a, models: [], images_per_minute: 0}]", r"images_per_minute: Input should be greater than 0"),
        ("callers: [{name: a, models: [], images_per_minute: .inf}]", r"images_per_minute: Input should be a finite"),
        ("callers: [{name: a, models: [], keys: [{id: abcd, sha256: secret, created: 2026-01-01T00:00:00Z}]}]", r"keys\.0\.sha256: String should match"),
        ("callers: [{name: a, models: [], keys: [{id: abcd, created: 2026-01-01T00:00:00}]}]", r"keys\.0\.created: Input should have timezone"),
        ("callers: [{name: a, models: []}, {name: a, models: []}]", r"the name 'a' is there 2 times"),
        ("callers: [{name: a, models: [], subjects: [s]}, {name: b, models: [], subjects: [s]}]", r"the subject 's' is there 2 times"),
        ("callers: [{name: a, models: [], certificates: [c, c]}]", r"the certificate 'c' is there 2 times"),
        ("callers: [{name: anonymous, models: []}]", r"the name 'anonymous' has a meaning of its own"),
        ("- a list", r"it: Input should be a valid dictionary"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "callers.yaml"
    path.write_text(text)
    with pytest.raises(CallersFileError, match=told):
        callers_file.read(path)


@pytest.mark.parametrize(
    "text",
    [
        "callers:\n  - name: a\n    models: ['*']\n    keys: [{id: abcd, sha256: hunter2}]\n",
        "callers:\n  hunter2: [\n",
        "callers:\n  - key: !hunter2 x\n",
        "hunter2\n",
        "callers: hunter2\n",
    ],
)
def test_no_value_of_a_bad_file_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "callers.yaml"
    path.write_text(text)
    with pytest.raises(CallersFileError) as caught:
        callers_file.read(path)
    assert "hunter2" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CallersFileError, match=r"none\.yaml cannot be read: No such file"):
        callers_file.read(tmp_path / "none.yaml")


def test_bytes_that_are_no_text_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "callers.yaml"
    path.write_bytes(b"callers: \xff\xfe\x00")
    with pytest.raises(CallersFileError, match="no YAML"):
        callers_file.read(path)


def test_an_empty_file_has_no_callers(tmp_path: Path) -> None:
    path = tmp_path / "callers.yaml"
    path.write_text("")
    assert callers_file.read(path) == CallersDocument()


def test_an_update_writes_what_was_there_and_the_change_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "callers.yaml"
    path.write_text(WHOLE)
    path.chmod(0o644)
    callers_file.update(path, lambda document: document.callers[0].models.append("biggan"))
    expected = CallersDocument.model_validate(yaml.safe_load(WHOLE))
    expected.callers[0].models.append("biggan")
    assert callers_file.read(path) == expected
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_an_update_that_would_break_the_file_leaves_it_as_it_was(tmp_path: Path) -> None:
    path = roster.write(tmp_path / "callers.yaml", roster.caller("a"))
    before = path.read_bytes()
    with pytest.raises(CallersFileError, match="the name 'a' is there 2 times"):
        callers_file.update(path, lambda document: document.callers.append(document.callers[0]))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path: Path) -> None:
    path = roster.write(tmp_path / "callers.yaml", roster.caller("a"))
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            callers_file.update(path, lambda document: document.callers[0].models.append("b"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "callers.yaml"
    link.symlink_to(roster.write(real, roster.caller("a")))
    callers_file.update(link, lambda document: document.callers.clear())
    assert link.is_symlink()
    assert callers_file.read(real) == CallersDocument()


def test_of_two_updates_at_the_same_time_neither_is_lost(tmp_path: Path) -> None:
    path = roster.write(tmp_path / "callers.yaml")
    reading, go_on = threading.Event(), threading.Event()

    def slowly(document: CallersDocument) -> None:
        reading.set()
        assert go_on.wait(10)
        document.callers.append(CallerEntry(name="first", models=[]))

    first = threading.Thread(target=callers_file.update, args=(path, slowly))
    second = threading.Thread(
        target=callers_file.update,
        args=(path, lambda document: document.callers.append(CallerEntry(name="second", models=[]))),
    )
    first.start()
    assert reading.wait(10)
    second.start()
    second.join(0.2)
    assert second.is_alive()
    go_on.set()
    first.join()
    second.join()
    assert [caller.name for caller in callers_file.read(path).callers] == ["first", "second"]
