"""What the commands show."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from pellucid.v1.model_pb2 import DETERMINISM_EXACT, DETERMINISM_ONE_LEVEL, Determinism, Parity, Version
from pellucid_export.family import AnyFamily
from pellucid_export.form import Form
from pellucid_export.options import describe
from pellucid_export.zoo import Entry

if TYPE_CHECKING:
    from pellucid_export.exporter import Exported
    from pellucid_export.verify import Verified

_DETERMINISM: dict["Determinism.ValueType", str] = {
    DETERMINISM_EXACT: "EXACT: byte-identical in any batch",
    DETERMINISM_ONE_LEVEL: "ONE_LEVEL: within the tolerance in any batch",
}


def zoo(entries: Iterable[Entry]) -> Table:
    """The zoo's entries."""
    table = _table("Published weights", "entry", "family", "licence", "description")
    for entry in entries:
        table.add_row(entry.name, entry.family, entry.license, entry.description)
    return table


def families(known: Iterable[AnyFamily]) -> Table:
    """The families, what they read and their options."""
    table = _table("Families", "family", "description", "reads", "options")
    for family in known:
        table.add_row(family.name, family.description, "\n".join(family.containers), "\n".join(describe(family)))
    return table


def exported(name: str, form: Form, result: "Exported") -> Table:
    """What an export wrote and measured."""
    version = result.version
    table = _table(f"{name} version {version.name}", "", "")
    table.show_header = False
    table.add_row("written", str(result.directory) if result.is_new else "config.pbtxt; the weights were there")
    table.add_row("form", f"{form.format}, {form.accelerator}, batches to {form.max_batch_size}")
    table.add_row("weights", version.weights_digest)
    table.add_row("parity", _parity(version.parity))
    table.add_row("determinism", _determinism(version))
    return table


def verification(results: Iterable["Verified"]) -> Table:
    """What verification found, a row a Triton model."""
    table = _table("Verification", "model", "version", "parity", "determinism", "result")
    for result in results:
        verdict = f"[red]{escape(result.fault)}" if result.fault else "[green]as published"
        row = (_parity(result.measured.parity), _determinism(result.measured))
        table.add_row(result.model, result.published.name, *(("-", "-") if result.fault else row), verdict)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _parity(parity: Parity) -> str:
    if not parity.samples:
        return "not compared: no checkpoint"
    return f"{parity.max_error:g} of {parity.tolerance:g} tolerated, {parity.samples} samples, {parity.runtime}"


def _determinism(version: Version) -> str:
    return _DETERMINISM.get(version.determinism, "not measured")
