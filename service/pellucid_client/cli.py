"""The `pellucid` command.

It finds the command that the first words name, imports the package that has it, and lets typer read the rest.
"""

import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib.metadata import EntryPoint, version
from typing import Any

import typer

from pellucid_client.command_table import CommandTable, Words, extra

_DEFAULT = "list"
_HELP = {"-h", "--help"}
_EXITS = """
Exit codes: 0 done; 1 failed; 2 wrong usage, or an extra is not installed; 3 the gateway refused the request;
4 the gateway is away, busy or slow, so that trying later may help; 130 interrupted."""


def main(arguments: Sequence[str] | None = None, table: CommandTable | None = None) -> int:
    """Run the command that the arguments name, and return the exit code unless the command exits itself."""
    words = tuple(sys.argv[1:] if arguments is None else arguments)
    if words == ("--version",):
        print(version("pellucid"))
        return 0
    table = table or CommandTable.installed()
    name = _longest_name(table, words)
    rest = words[len(name) :]
    if table.find(name) is None and _bare(rest) and table.find((*name, _DEFAULT)):
        name = (*name, _DEFAULT)
    entry = table.find(name)
    if entry is not None:
        return _run(entry, name, rest)
    if rest and rest[0] not in _HELP:
        return _unknown(table, name, rest[0])
    print(_help(table, name))
    return 0


def _longest_name(table: CommandTable, words: Words) -> Words:
    """Return the leading words that are a command or a group."""
    length = 0
    while length < len(words) and (table.find(words[: length + 1]) is not None or table.is_group(words[: length + 1])):
        length += 1
    return words[:length]


def _bare(rest: Words) -> bool:
    return not rest or (rest[0].startswith("-") and rest[0] not in _HELP)


def _run(entry: EntryPoint, name: Words, rest: Words) -> int:
    try:
        _app(entry.load())(list(rest), prog_name=" ".join(("pellucid", *name)))
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        owner = entry.module.partition(".")[0]
        # A missing module of our own is a fault in it; a missing package is an extra that is not installed.
        if owner == "pellucid_client" or (missing.startswith("pellucid") and error.name != owner):
            raise
        print(f"error: this command needs the extra {extra(entry)}: ", end="", file=sys.stderr)
        print(f"pip install 'pellucid[{extra(entry)}]' ({error})", file=sys.stderr)
        return 2
    return 0


def _app(command: Callable[..., Any]) -> typer.Typer:
    if isinstance(command, typer.Typer):
        return command
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    return app


def _unknown(table: CommandTable, name: Words, word: str) -> int:
    near = get_close_matches(word, table.children(name), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    print(f"error: {' '.join(('pellucid', *name))} has no command {word}{hint}", file=sys.stderr)
    return 2


def _help(table: CommandTable, name: Words) -> str:
    prefix = " ".join(("pellucid", *name))
    children = table.children(name)
    width = max(map(len, children), default=0)
    lines = [f"Usage: {prefix} COMMAND [ARGUMENTS]...   ({prefix} COMMAND --help says more)", ""]
    lines += [f"  {word:{width}}  {line}" for word, line in children.items()]
    return "\n".join(lines) + ("" if name else "\n" + _EXITS)
