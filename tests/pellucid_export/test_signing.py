import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner, Result
from upath import UPath

from pellucid_export import signing, signing_commands
from pellucid_export.errors import RepositoryError
from pellucid_export.repository import Repository
from pellucid_gateway.manifest import Manifest, Verdict, load_key

APP = typer.Typer()
APP.command()(signing_commands.keygen)
APP.command()(signing_commands.sign)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(APP, [str(argument) for argument in arguments])


def write(root: Path, files: dict[str, bytes]) -> Repository:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return Repository(root)


@pytest.fixture
def models(tmp_path: Path) -> Repository:
    return write(
        tmp_path / "models",
        {
            "README.md": b"not served",
            "faces/config.pbtxt": b"config",
            "faces/1/model.onnx": b"weights",
            "faces/2/model.onnx": b"newer weights",
            "faces/2/axes/smile.safetensors": b"axes",
            "faces.mapping/config.pbtxt": b"",
            "notes/todo.txt": b"no model",
            ".partial/config.pbtxt": b"half made",
        },
    )


@pytest.fixture
def key(tmp_path: Path) -> Path:
    private = tmp_path / "release.pem"
    signing.make_keys(private)
    return private


def test_the_manifest_lists_every_file_of_every_model_and_nothing_else(models: Repository, key: Path) -> None:
    assert signing.sign(models, key) == {"faces": [1, 2], "faces.mapping": []}
    manifest = json.loads((models.root / "manifest.json").read_text())
    assert manifest["format"] == "pellucid-manifest/1"
    assert {name: file["size"] for name, file in manifest["files"].items()} == {
        "faces/config.pbtxt": 6,
        "faces/1/model.onnx": 7,
        "faces/2/model.onnx": 13,
        "faces/2/axes/smile.safetensors": 4,
        "faces.mapping/config.pbtxt": 0,
    }
    printed = subprocess.run(["sha256sum", models.root / "faces/1/model.onnx"], capture_output=True, text=True)
    assert manifest["files"]["faces/1/model.onnx"]["sha256"] == printed.stdout.split()[0]
    assert not (models.root / ".partial").exists()


def test_the_same_files_are_signed_with_the_same_bytes(models: Repository, key: Path, tmp_path: Path) -> None:
    signing.sign(models, key)
    copy = Repository(tmp_path / "copy")
    shutil.copytree(models.root, copy.root, ignore=shutil.ignore_patterns("manifest.*"))
    signing.sign(copy, key)
    signing.sign(models, key)
    for name in ("manifest.json", "manifest.sig"):
        assert (copy.root / name).read_bytes() == (models.root / name).read_bytes()


def test_openssl_verifies_the_signature_and_refuses_another_manifest(models: Repository, key: Path) -> None:
    signing.sign(models, key)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", key.with_suffix(".pub"), "-rawin"]
    command += ["-in", models.root / "manifest.json", "-sigfile", models.root / "manifest.sig"]
    assert subprocess.run(command, capture_output=True).returncode == 0
    with (models.root / "manifest.json").open("ab") as file:
        file.write(b" ")
    assert subprocess.run(command, capture_output=True).returncode == 1


def test_the_gateway_accepts_what_was_signed_and_after_a_change_only_once_it_is_signed_again(
    models: Repository, key: Path
) -> None:
    signing.sign(models, key)
    manifest = Manifest(UPath(models.root), load_key(key.with_suffix(".pub")))
    assert manifest.check() == {"faces": Verdict(), "faces.mapping": Verdict()}
    write(models.root, {"faces/3/model.onnx": b"newest"})
    assert manifest.check()["faces"] == Verdict("faces/3/model.onnx is not in manifest.json")
    signing.sign(models, key)
    assert manifest.check()["faces"] == Verdict()


@pytest.mark.parametrize("link", ["faces/1/link.onnx", "faces/3"])
def test_a_link_is_refused_and_nothing_is_written(models: Repository, key: Path, link: str) -> None:
    (models.root / link).symlink_to(models.root / "faces" / "1")
    with pytest.raises(RepositoryError, match=f"{link} is no regular file"):
        signing.sign(models, key)
    assert not (models.root / "manifest.json").exists()


def test_a_repository_without_models_is_refused(tmp_path: Path, key: Path) -> None:
    assert run("sign", tmp_path / "empty", "--key", key).output == f"error: {tmp_path}/empty holds no models to sign\n"


def test_the_private_key_is_its_owners_alone_and_is_never_overwritten(tmp_path: Path) -> None:
    made = run("keygen", tmp_path / "new.pem")
    assert (made.exit_code, stat.S_IMODE((tmp_path / "new.pem").stat().st_mode)) == (0, 0o600)
    before = (tmp_path / "new.pem").read_bytes()
    assert "BEGIN PRIVATE KEY" not in (tmp_path / "new.pub").read_text()
    again = run("keygen", tmp_path / "new.pem")
    assert again.exit_code == 1
    assert "new.pem exists already" in again.output
    assert (tmp_path / "new.pem").read_bytes() == before


def test_signing_says_which_versions_were_signed(models: Repository, key: Path) -> None:
    assert run("sign", models.root, "--key", key).output == "faces: version 1, 2\nfaces.mapping: version none\n"


def test_a_key_of_another_kind_or_a_file_that_is_no_key_is_named(models: Repository, tmp_path: Path) -> None:
    other = tmp_path / "ec.pem"
    other.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(RepositoryError, match="key of another kind: ECPrivateKey, and Ed25519 is needed"):
        signing.sign(models, other)
    other.write_text("secret")
    with pytest.raises(RepositoryError, match=r"ec\.pem holds no private key in PEM"):
        signing.sign(models, other)
    assert not (models.root / "manifest.json").exists()
