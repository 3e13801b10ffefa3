"""The writing of translations as they come."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer

from pellucid.v1 import model_pb2
from pellucid_client.commands.printing import as_dict, print_json, tracked
from pellucid_client.commands.source_files import SourceFile, distinct
from pellucid_client.commands.translation_files import TranslationFiles
from pellucid_client.commands.translation_sheet import TranslationSheet
from pellucid_client.translation import Translated, Translation

_UNSAFE = re.compile(r"[^\w.+=-]+")


class Writing:
    """Writes what comes of `sources`, and remembers which of them failed; `targets` are the targets' names."""

    def __init__(
        self, files: TranslationFiles, sources: Sequence[SourceFile], targets: Iterable[str], card: model_pb2.Model
    ) -> None:
        self._files = files
        self._sources = sources
        self._targets = distinct(_UNSAFE.sub("_", target) for target in targets)
        self._sheet = TranslationSheet(card)
        self._kept = {source.path.resolve() for source in sources}
        self._written = 0
        self._failures: list[tuple[Path, str]] = []

    def write(self, results: Iterable[Translated]) -> bool:
        """Write all, say at the end which sources failed and why, and return whether any did."""
        try:
            for result in tracked(results, len(self._sources), "images"):
                self._take(self._sources[result.index], result)
        finally:
            self._tell()
        return bool(self._failures)

    def _take(self, source: SourceFile, result: Translated) -> None:
        named = [(self._targets[image.target] or image.applied.direction, image) for image in result.images]
        paths = [self._files.path(source.stem, name) for name, _ in named]
        over = [path for path in paths if path.resolve() in self._kept]
        if result.error is not None or over:
            self._fail(source, str(result.error or f"{over[0]} would be written over, and is a source"))
            return
        for (name, image), path in zip(named, paths, strict=True):
            self._say(source, name, image, _save(image, path))
        self._written += len(paths)
        if self._files.sheet is not None:
            self._sheet.add(source, named)

    def _fail(self, source: SourceFile, reason: str) -> None:
        self._failures.append((source.path, reason))
        if self._files.as_json:
            print_json({"source": str(source.path), "error": reason})

    def _say(self, source: SourceFile, name: str, image: Translation, saved: dict[str, Any]) -> None:
        for warning in image.warnings:
            typer.echo(f"warning: {saved['path']}: {warning}", err=True)
        if image.mean_error is not None and image.reconstruction is None:
            typer.echo(f"warning: {saved['path']}: its way back is larger than 1 MB, and did not come", err=True)
        if self._files.as_json:
            said = {"applied": as_dict(image.applied), "warnings": list(image.warnings)}
            print_json({"source": str(source.path), "target": name, **saved, **said})
        elif image.mean_error is not None:
            typer.echo(f"{saved['path']}: mean error there and back {image.mean_error:.2f}")

    def _tell(self) -> None:
        if self._files.sheet is not None and self._written:
            self._sheet.draw().save(self._files.sheet)
            typer.echo(f"wrote {self._files.sheet}", err=True)
        if not self._files.as_json:
            typer.echo(f"wrote {self._written} images to {self._files.out}")
        if self._failures:
            typer.echo(f"error: {len(self._failures)} of {len(self._sources)} sources failed", err=True)
        for path, reason in self._failures:
            typer.echo(f"  {path}: {reason}", err=True)


def _save(image: Translation, path: Path) -> dict[str, Any]:
    """Write a translation with its way back, and return the paths and how far off that is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    saved: dict[str, Any] = {"path": str(image.save(path))}
    if image.reconstruction is not None:
        saved["reconstruction"] = str(image.reconstruction.save(path.with_stem(f"{path.stem}-back")))
    if image.mean_error is not None:
        saved["meanError"] = image.mean_error
    return saved
