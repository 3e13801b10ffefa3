"""`pellucid demo`.

1. `stack` starts Triton and the gateway as a process of their own and waits for the model;
2. `pictures` draws real faces moved along each axis, and along one axis with and without a lock;
3. `effects` measures on other faces what the moves did;
4. the stack is stopped, whatever happened.
"""

import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from pellucid.v1 import axis_pb2
from pellucid_client.client import Client
from pellucid_client.commands.connection import exit_code, show_error
from pellucid_client.commands.printing import AsJson, print_json, print_table
from pellucid_client.demo.effects import Effect, Effects
from pellucid_client.demo.pictures import axes_sheet, locks_sheet
from pellucid_client.demo.stack import Stack, StackError
from pellucid_client.errors import PellucidError
from pellucid_client.names import short_name

_AXES = ("happiness", "surprise", "masculine", "sadness", "brightness", "age")
_SHOWN_AXES = 6
# Happiness and gender are nearly unrelated here; sadness goes with dark pictures, which a lock undoes.
_PAIRS = (("happiness", "masculine"), ("sadness", "brightness"))
# Two that look at the viewer, without hats or glasses.
_IDENTITIES = (50, 67)
_REACH = 4
_MEASURED_STEPS = 2.0
# Far from the seeds that axes are fitted and measured on, which are counted from 0.
_FRESH_SEED = 2_000_000_000


def demo(
    out: Annotated[Path, typer.Option(help="Directory for the pictures.", metavar="DIR")] = Path("demo"),
    repository: Annotated[
        Path, typer.Option(help="Directory of models.", envvar="PELLUCID_MODEL_REPOSITORY", metavar="DIR")
    ] = Path("model_repository"),
    model: Annotated[str, typer.Option(help="A generator with axes.")] = "digiface",
    seed: Annotated[list[int] | None, typer.Option(help="An identity to show; repeatable.")] = None,
    samples: Annotated[int, typer.Option(help="Faces to measure on.", min=2)] = 64,
    start_timeout_s: Annotated[
        float, typer.Option("--start-timeout", help="Seconds the stack may take to start.", metavar="SECONDS")
    ] = 1800.0,
    as_json: AsJson = False,
) -> None:
    """Start the whole stack, make real pictures, measure what the axes do, and stop everything again."""
    out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stack = Stack.of_repository(repository, out / "stack.log", start_timeout_s)
    try:
        paths, effects = show(stack, model, seed or _IDENTITIES, samples, out)
    except StackError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    except PellucidError as error:
        show_error(error)
        raise typer.Exit(exit_code(error)) from error
    _report(paths, effects, samples, as_json)


def show(
    stack: Stack, model: str, identities: Sequence[int], samples: int, out: Path
) -> tuple[list[Path], list[Effect]]:
    """Run the stack as long as it takes to write the pictures and to measure; return both."""
    with stack, Client(stack.facts["gateway"]) as client:
        client.wait_ready(model)
        showing = Showing.of(client, model)
        paths = showing.draw(client, identities, out)
        return paths, showing.measure(client, range(_FRESH_SEED, _FRESH_SEED + samples))


@dataclass(frozen=True)
class Showing:
    """What the demo shows of a model."""

    model: str
    axes: Sequence[axis_pb2.Axis]
    pairs: Sequence[tuple[axis_pb2.Axis, axis_pb2.Axis]]
    """The first is moved, with and without a lock on the second."""

    @classmethod
    def of(cls, client: Client, model: str) -> "Showing":
        """Choose the axes: those that faces have first, then what else there is."""
        found = {short_name(axis.name): axis for axis in client.axes(model)}
        order = [name for name in _AXES if name in found] + [name for name in found if name not in _AXES]
        if len(order) < 2:
            raise StackError(f"{model} has {len(order)} axes, and the demo needs two: see `pellucid axes fit`")
        axes = [found[name] for name in order[:_SHOWN_AXES]]
        pairs = [(found[moved], found[locked]) for moved, locked in _PAIRS if {moved, locked} <= found.keys()]
        return cls(model, axes, pairs or [(axes[0], axes[1])])

    def draw(self, client: Client, seeds: Sequence[int], out: Path) -> list[Path]:
        """Write both sheets."""
        reach = min([_REACH, *(axis.hard_limit_steps for axis in self.axes if axis.hard_limit_steps)])
        steps = [reach * k / _REACH for k in range(-_REACH, _REACH + 1)]
        names = [short_name(axis.name) for axis in self.axes]
        pairs = [(short_name(moved.name), short_name(locked.name)) for moved, locked in self.pairs]
        sheets = {
            out / "axes.png": axes_sheet(client, self.model, names, seeds, steps),
            out / "locks.png": locks_sheet(client, self.model, pairs, seeds, steps),
        }
        for path, sheet in sheets.items():
            sheet.draw().save(path)
        return list(sheets)

    def measure(self, client: Client, seeds: range) -> list[Effect]:
        """Return each axis's effect on its own label, then each pair's side effect, free and locked."""
        effects = Effects(client, self.model, seeds, _MEASURED_STEPS)
        measurable = [axis for axis in self.axes if axis.extractor]
        found = [effect for axis in measurable for effect in effects.of(axis, [axis])]
        for moved, locked in self.pairs:
            if moved.extractor and locked.extractor:
                found += effects.of(moved, [locked])
                found += effects.of(moved, [moved, locked], locked)
        return found


def _report(paths: list[Path], effects: list[Effect], samples: int, as_json: bool) -> None:
    if as_json:
        print_json({"pictures": [str(path) for path in paths], "effects": [asdict(effect) for effect in effects]})
        return
    if effects:
        _print_effects(effects, samples)
    else:
        typer.echo("nothing was measured: no axis names a classifier that labels it")
    for path in paths:
        typer.echo(f"wrote {path}")


def _print_effects(effects: list[Effect], samples: int) -> None:
    print_table(
        ["moved", "locked", "measured label", "before", "after", "change", "raised"],
        [
            (
                f"{effect.moved} {_MEASURED_STEPS:+g}",
                effect.locked or "-",
                effect.label,
                f"{effect.before:.3f}",
                f"{effect.after:.3f}",
                f"{effect.change:+.3f} ± {effect.standard_error:.3f}",
                f"{effect.raised_share:.0%}",
            )
            for effect in effects
        ],
        f"Measured on {samples} fresh faces, labelled again by the classifiers",
    )
