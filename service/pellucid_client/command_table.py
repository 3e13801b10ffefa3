"""The commands that packages add through entry points of the group `pellucid.commands`.

A name with dots is a command of a group: `axes.list` is `pellucid axes list`. Nothing is imported before its command
is called; the line that help shows is read from the source file, and is the first of the function's docstring.
"""

import ast
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

GROUP = "pellucid.commands"

Words = tuple[str, ...]


class CommandTable:
    """Commands by their words."""

    def __init__(self, entries: dict[Words, EntryPoint]) -> None:
        self._entries = entries

    @classmethod
    def installed(cls) -> "CommandTable":
        """Return the commands of all installed packages."""
        return cls({tuple(entry.name.split(".")): entry for entry in entry_points(group=GROUP)})

    def find(self, words: Words) -> EntryPoint | None:
        """Return the command of exactly these words."""
        return self._entries.get(words)

    def is_group(self, words: Words) -> bool:
        """Return whether some command's words begin with these and go on."""
        return any(name[: len(words)] == words and len(name) > len(words) for name in self._entries)

    def children(self, words: Words) -> dict[str, str]:
        """Return the next words after these, each with a line of help."""
        after = sorted({name[len(words)] for name in self._entries if name[: len(words)] == words != name})
        return {word: self._line((*words, word)) for word in after}

    def _line(self, words: Words) -> str:
        entry = self.find(words)
        return ", ".join(self.children(words)) if entry is None else summary(entry)


def extra(entry: EntryPoint) -> str:
    """Return the extra a command's package needs; extras are named after the packages they are for."""
    return entry.module.partition(".")[0].removeprefix("pellucid_")


def summary(entry: EntryPoint) -> str:
    """Return the first line of a command's documentation without importing it."""
    path = _source(entry.module)
    if path is None:
        return f"(not installed: pip install 'pellucid[{extra(entry)}]')"
    module = ast.parse(path.read_text())
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == entry.attr]
    documented = ast.get_docstring(functions[0] if functions else module) or ""
    return documented.partition("\n")[0]


def _source(module: str) -> Path | None:
    package, *rest = module.split(".")
    spec = PathFinder.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    base = Path(spec.submodule_search_locations[0]).joinpath(*rest)
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)
