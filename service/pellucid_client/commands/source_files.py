"""Files that are named on a command line, and what is written for them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import typer

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class SourceFile:
    """A file, and its name among what is written: below a folder that was named, where it lies in it; no ending."""

    path: Path
    stem: str


def source_files(paths: Sequence[Path], out: Path) -> list[SourceFile]:
    """Return the files among the paths, each once, and the images in folders, recursively and sorted.

    What lies in `out` is no source, should that be within a folder. Two files of one name get names of their own.
    """
    found: dict[Path, str] = {}
    for file, stem in chain.from_iterable(_found(path, out) for path in paths):
        found.setdefault(file, stem)
    return [SourceFile(file, stem) for file, stem in zip(found, distinct(found.values()), strict=True)]


def distinct(names: Iterable[str]) -> list[str]:
    """Return names with a number behind each that was there already: `a`, `b`, `a-2`."""
    taken: dict[str, None] = {}
    for name in names:
        number, free = 1, name
        while free in taken:
            number += 1
            free = f"{name}-{number}"
        taken[free] = None
    return list(taken)


def _found(path: Path, out: Path) -> Iterator[tuple[Path, str]]:
    if not path.is_dir():
        yield path, path.stem
        return
    written = out.resolve() if out.resolve() != path.resolve() else None
    images = [image for image in sorted(path.rglob("*")) if _is_image(image) and written not in image.resolve().parents]
    if not images:
        raise typer.BadParameter(f"{str(path)!r} holds no {', '.join(_SUFFIXES)}")
    yield from ((image, str(image.relative_to(path).with_suffix(""))) for image in images)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and path.is_file()
