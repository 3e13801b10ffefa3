import hashlib
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from upath import UPath

from pellucid.v1 import axis_pb2, model_pb2
from pellucid_gateway.backends.fake import FakeBackend
from pellucid_gateway.catalog import Catalog
from pellucid_gateway.errors import Refused
from pellucid_gateway.manifest import Manifest
from tests.pellucid_gateway import painting

KEY = Ed25519PrivateKey.generate()


def sign(repository: Path) -> None:
    files = {
        path.relative_to(repository).as_posix(): path.read_bytes()
        for path in repository.glob("*/**/*")
        if path.is_file()
    }
    listed = {name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)} for name, data in files.items()}
    content = json.dumps({"format": "pellucid-manifest/1", "files": listed}).encode()
    (repository / "manifest.json").write_bytes(content)
    (repository / "manifest.sig").write_bytes(KEY.sign(content))


@pytest.fixture
async def catalog(backend: FakeBackend, repository: Path) -> Catalog:
    sign(repository)
    made = Catalog(backend, str(repository), Manifest(UPath(repository), KEY.public_key()))
    await made.refresh()
    return made


async def test_a_changed_file_makes_its_model_unavailable_until_it_is_as_signed_again(
    catalog: Catalog, repository: Path
) -> None:
    changed = repository / "paint" / "1" / "version.json"
    signed = changed.read_bytes()
    changed.write_bytes(signed + b" ")
    await catalog.refresh()
    with pytest.raises(Refused, match=r"paint/1/version\.json has \d+ bytes, and \d+ were signed"):
        catalog.serving("models/paint")
    assert catalog.find("models/paint").card.state == model_pb2.STATE_UNAVAILABLE
    assert catalog.serving("models/meter").version.name == "1"
    changed.write_bytes(signed)
    await catalog.refresh()
    assert catalog.serving("models/paint").version.name == "1"


async def test_a_model_is_refused_for_a_fault_of_one_of_its_stages(backend: FakeBackend, repository: Path) -> None:
    config, paint = backend.models["paint"]
    stages = [
        {"role": "synthesis", "model": "paint", "inputs": ["latent"], "outputs": ["image"]},
        {"role": "upscale", "model": "paint.upscale", "inputs": ["image"], "outputs": ["image"]},
    ]
    backend.models["paint"] = (painting.config(painting.paint_card(stages=stages)), paint)
    image = painting.specs("image")
    backend.models["paint.upscale"] = (type(config)(image, image, 8), paint)
    (repository / "paint.upscale").mkdir()
    (repository / "paint.upscale" / "config.pbtxt").touch()
    sign(repository)
    catalog = Catalog(backend, str(repository), Manifest(UPath(repository), KEY.public_key()))
    await catalog.refresh()
    assert catalog.serving("models/paint").version.name == "1"
    (repository / "paint.upscale" / "config.pbtxt").write_text("changed")
    await catalog.refresh()
    with pytest.raises(Refused, match=r"paint\.upscale/config\.pbtxt has 7 bytes, and 0 were signed"):
        catalog.serving("models/paint")


async def test_new_axes_serve_once_they_are_signed_and_the_model_all_the_while(
    catalog: Catalog, repository: Path
) -> None:
    painting.write_axes(repository / "paint" / "1" / "axes", "later", [axis_pb2.Axis(name="red", step_length=2.0)])
    await catalog.refresh()
    axes = catalog.serving("models/paint").axes
    assert axes.find("red").axis.step_length == 1.0
    assert axes.refused == {"later": "later.safetensors is not in the signed manifest"}
    sign(repository)
    await catalog.refresh()
    assert catalog.serving("models/paint").axes.find("red").axis.step_length == 2.0


async def test_without_a_signature_no_model_is_served(backend: FakeBackend, repository: Path) -> None:
    catalog = Catalog(backend, str(repository), Manifest(UPath(repository), KEY.public_key()))
    await catalog.refresh()
    for model in ("models/paint", "models/meter"):
        with pytest.raises(Refused, match=r"manifest\.json cannot be read"):
            catalog.serving(model)
