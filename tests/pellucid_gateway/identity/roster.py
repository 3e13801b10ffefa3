"""Callers files for tests."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from pellucid_gateway.identity import api_keys


def key_entry(key: str, expires: datetime | None = None) -> dict[str, Any]:
    entry = {
        "id": api_keys.key_id(key),
        "sha256": api_keys.digest(key).hex(),
        "created": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return {**entry, "expires": expires} if expires else entry


def caller(name: str, *keys: str, models: tuple[str, ...] = ("*",), **rest: Any) -> dict[str, Any]:
    return {"name": name, "models": list(models), "keys": [key_entry(key) for key in keys], **rest}


def write(path: Path, *callers: dict[str, Any], **rest: Any) -> Path:
    """Replace the file, as an editor or a mounted secret does."""
    fresh = path.with_suffix(".new")
    fresh.write_text(yaml.safe_dump({"callers": list(callers), **rest}))
    os.replace(fresh, path)
    return path


def spoil(path: Path, text: str | None) -> None:
    """Write another text in place, or none at all."""
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
