"""Families of networks that do arithmetic, exported as any other."""

from pathlib import Path

from pellucid_export import exporter, families
from pellucid_export.form import Form
from pellucid_export.repository import Repository


def export(repository: Repository, family: str, name: str, **options: str) -> None:
    """Export a family of this folder."""
    folder = str(Path(__file__).parent)
    families.__path__.append(folder)
    try:
        exporter.export(repository, name, Form(family, "", options=options), Path("unread"))
    finally:
        families.__path__.remove(folder)
