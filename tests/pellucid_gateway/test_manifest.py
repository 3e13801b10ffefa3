import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner, Result
from upath import UPath

from pellucid_gateway.manifest import Manifest, Verdict, load_key
from pellucid_gateway.manifest_command import verify_manifest

KEY = Ed25519PrivateKey.generate()
FILES = {
    "paint/config.pbtxt": b"config",
    "paint/1/model.onnx": b"weights",
    "paint/1/axes/red.safetensors": b"axes",
    "meter/config.pbtxt": b"other",
}
GOOD = {"meter": Verdict(), "paint": Verdict()}


def entry(content: bytes) -> dict[str, object]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def publish(root: UPath, manifest: object, key: Ed25519PrivateKey = KEY) -> None:
    content = json.dumps(manifest).encode()
    (root / "manifest.json").write_bytes(content)
    (root / "manifest.sig").write_bytes(key.sign(content))


def sign(root: UPath, files: dict[str, bytes] = FILES) -> None:
    listed = {name: entry(content) for name, content in files.items()}
    publish(root, {"format": "pellucid-manifest/1", "files": listed})


def write(root: UPath, name: str, content: bytes) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(content)


@pytest.fixture(params=["disk", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[UPath]:
    """A signed repository on disk, and one in an object store's stead."""
    place = UPath(tmp_path / "models") if request.param == "disk" else UPath(f"memory://{uuid4()}/models")
    for name, content in FILES.items():
        write(place, name, content)
    write(place, "README.md", b"not served")
    sign(place)
    yield place
    place.fs.rm(place.path, recursive=True)


@pytest.fixture
def disk(tmp_path: Path) -> UPath:
    place = UPath(tmp_path / "models")
    for name, content in FILES.items():
        write(place, name, content)
    sign(place)
    return place


def manifest_of(root: UPath) -> Manifest:
    return Manifest(root, KEY.public_key())


def test_what_was_signed_is_served(root: UPath) -> None:
    manifest = manifest_of(root)
    assert manifest.check() == GOOD
    assert manifest.fault == ""


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("paint/1/model.onnx", b"WEIGHTS", "paint/1/model.onnx has other content than was signed"),
        ("paint/1/model.onnx", b"more weights", "paint/1/model.onnx has 12 bytes, and 7 were signed"),
        ("paint/1/axes/red.safetensors", b"AXES", "paint/1/axes/red.safetensors has other content than was signed"),
        ("paint/config.pbtxt", b"CONFIG", "paint/config.pbtxt has other content than was signed"),
        ("paint/2/model.onnx", b"weights", "paint/2/model.onnx is not in manifest.json"),
        ("paint/1/axes/run.py", b"", "paint/1/axes/run.py is not in manifest.json"),
    ],
)
def test_a_changed_or_added_file_refuses_its_model_and_no_other(
    root: UPath, name: str, content: bytes, fault: str
) -> None:
    manifest = manifest_of(root)
    assert manifest.check() == GOOD
    write(root, name, content)
    assert manifest.check() == {"meter": Verdict(), "paint": Verdict(fault)}


@pytest.mark.parametrize("name", ["paint/1/model.onnx", "paint/1/axes/red.safetensors"])
def test_a_missing_file_refuses_its_model_until_it_is_back(root: UPath, name: str) -> None:
    manifest = manifest_of(root)
    (root / name).unlink()
    assert manifest.check()["paint"] == Verdict(f"{name} is missing")
    write(root, name, FILES[name])
    assert manifest.check() == GOOD


def test_axes_that_are_not_signed_yet_are_passed_over_and_the_model_serves(root: UPath) -> None:
    manifest = manifest_of(root)
    write(root, "paint/1/axes/green.safetensors", b"green")
    assert manifest.check()["paint"] == Verdict("", frozenset({"paint/1/axes/green.safetensors"}))
    sign(root, FILES | {"paint/1/axes/green.safetensors": b"green"})
    assert manifest.check() == GOOD


def test_a_model_that_the_manifest_does_not_name_is_refused(root: UPath) -> None:
    write(root, "stranger/config.pbtxt", b"")
    assert manifest_of(root).check() == GOOD | {"stranger": Verdict("stranger is not in manifest.json")}


def test_only_the_models_asked_for_are_told_of(root: UPath) -> None:
    assert manifest_of(root).check(["meter"]) == {"meter": Verdict()}
    assert manifest_of(root).check([]) == {}


@pytest.mark.parametrize(
    ("path", "target"),
    [("paint/1/model.onnx", "kept.onnx"), ("paint/1/axes/red.safetensors", "kept.onnx")],
)
def test_a_link_is_refused_even_where_it_leads_to_what_was_signed(disk: UPath, path: str, target: str) -> None:
    kept = Path(disk) / target
    os.replace(disk / path, kept)
    os.symlink(kept, disk / path)
    assert manifest_of(disk).check()["paint"] == Verdict(f"{path} is no regular file")


def test_a_linked_folder_is_refused(disk: UPath) -> None:
    os.rename(disk / "paint" / "1", disk / "elsewhere")
    os.symlink(disk / "elsewhere", disk / "paint" / "1")
    assert manifest_of(disk).check()["paint"] == Verdict("paint/1 is not in manifest.json")
    os.rename(disk / "meter", disk / "moved")
    os.symlink(disk / "moved", disk / "meter")
    assert manifest_of(disk).check(["meter"]) == {"meter": Verdict("meter is not in manifest.json")}


@pytest.mark.parametrize(
    "path", ["../secret", "paint/../../secret", "/etc/passwd", "paint//x", "./paint/x", "paint\\x", "", "paint/\x00"]
)
def test_a_path_that_leaves_the_repository_is_refused_though_it_is_signed(root: UPath, path: str) -> None:
    publish(root, {"format": "pellucid-manifest/1", "files": {path: entry(b"")}})
    manifest = manifest_of(root)
    verdict = manifest.check(["paint"])["paint"]
    assert verdict.fault.startswith("manifest.json is no manifest: files.")
    assert "a path must be relative" in verdict.fault


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ({"format": "pellucid-manifest/2", "files": {}}, "Input should be 'pellucid-manifest/1'"),
        ({"files": {}}, "Field required"),
        ({"format": "pellucid-manifest/1", "files": {"a/b": {"sha256": "0", "size": 1}}}, "should match pattern"),
        (
            {"format": "pellucid-manifest/1", "files": {"a/b": {"sha256": "0" * 64, "size": -1}}},
            "greater than or equal",
        ),
        ({"format": "pellucid-manifest/1", "files": {"a/b": {"sha256": "0" * 64, "size": "1"}}}, "valid integer"),
        ([], "Input should be an object"),
    ],
)
def test_a_signed_file_that_is_no_manifest_serves_nothing(root: UPath, manifest: object, reason: str) -> None:
    publish(root, manifest)
    assert reason in manifest_of(root).check(["paint"])["paint"].fault


def test_nothing_is_served_that_another_key_signed(root: UPath) -> None:
    publish(root, json.loads((root / "manifest.json").read_text()), Ed25519PrivateKey.generate())
    fault = "manifest.sig is not this key's signature of manifest.json"
    assert manifest_of(root).check() == {"meter": Verdict(fault), "paint": Verdict(fault)}


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig"])
def test_nothing_is_served_without_a_manifest_or_a_signature(root: UPath, name: str) -> None:
    (root / name).unlink()
    verdict = manifest_of(root).check(["paint"])["paint"]
    assert verdict.fault.startswith("manifest.json cannot be read")


def test_a_manifest_that_is_signed_wrongly_leaves_the_one_before_in_force(root: UPath) -> None:
    manifest = manifest_of(root)
    manifest.check()
    signed = (root / "manifest.json").read_bytes()
    (root / "manifest.json").write_bytes(signed.replace(b"paint/2", b"paint/3") + b" ")
    assert manifest.check() == GOOD
    assert manifest.fault == "manifest.sig is not this key's signature of manifest.json"
    write(root, "paint/1/model.onnx", b"WEIGHTS")
    assert manifest.check()["paint"].fault == "paint/1/model.onnx has other content than was signed"
    sign(root, FILES | {"paint/1/model.onnx": b"WEIGHTS"})
    assert (manifest.check(), manifest.fault) == (GOOD, "")


def test_a_file_is_not_read_again_while_its_store_says_that_it_is_the_same() -> None:
    store = UPath(f"memory://{uuid4()}/models")
    for name, content in FILES.items():
        write(store, name, content)
    sign(store)
    manifest = manifest_of(store)
    assert manifest.check() == GOOD
    # Changed behind the back of what the store tells.
    store.fs.store[(store / "paint/1/model.onnx").path].getbuffer()[:] = b"WEIGHTS"
    assert manifest.check() == GOOD
    assert manifest_of(store).check()["paint"].fault == "paint/1/model.onnx has other content than was signed"


def test_a_change_is_seen_though_its_size_and_time_of_change_are_as_before(disk: UPath) -> None:
    manifest = manifest_of(disk)
    assert manifest.check() == GOOD
    file = Path(disk) / "paint/1/model.onnx"
    before = file.stat()
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert manifest.check()["paint"].fault == "paint/1/model.onnx has other content than was signed"


def verify(root: object, key: Path) -> Result:
    app = typer.Typer()
    app.command()(verify_manifest)
    return CliRunner().invoke(app, [str(root), "--key", str(key)])


@pytest.fixture
def public(tmp_path: Path) -> Path:
    file = tmp_path / "release.pub"
    file.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return file


def test_the_command_tells_of_each_model_and_fails_where_one_is_not_as_signed(root: UPath, public: Path) -> None:
    write(root, "paint/1/axes/green.safetensors", b"green")
    done = verify(root, public)
    assert done.exit_code == 0, done.output
    assert (
        done.output == "meter: as signed\npaint: as signed\npaint/1/axes/green.safetensors: not signed, passed over\n"
    )
    write(root, "stranger/config.pbtxt", b"")
    done = verify(root, public)
    assert done.exit_code == 1
    assert "stranger: stranger is not in manifest.json" in done.output


def test_the_command_fails_where_nothing_is_signed_or_the_key_is_none(disk: UPath, public: Path) -> None:
    (disk / "manifest.sig").unlink()
    done = verify(disk, public)
    assert done.exit_code == 1
    assert "error: manifest.json cannot be read" in done.output
    public.write_text("-----BEGIN PUBLIC KEY-----")
    done = verify(disk, public)
    assert done.exit_code == 1
    assert "release.pub holds no public key in PEM" in done.output


def test_a_key_of_another_kind_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ec.pub"
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    file.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(ValueError, match="key of another kind: ECPublicKey, and Ed25519 is needed"):
        load_key(file)
