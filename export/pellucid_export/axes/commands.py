"""The commands `pellucid axes fit` and `pellucid axes import`."""

# What is imported here is paid for by every `pellucid` command; neither torch nor scikit-learn is among it.
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pellucid_export.reporting import reported

if TYPE_CHECKING:
    from pellucid_export.axes.conditions import Given
    from pellucid_export.axes.fitting import Fitted, Plan
    from pellucid_export.axes.world import Extractor, World
    from pellucid_export.repository import Repository

_MODEL_REPOSITORY = Path("model_repository")
_SWEEP = "{}-sweep.png"


def fit(
    model: Annotated[str, typer.Argument(help="A generator of the repository.")],
    extractor: Annotated[list[str], typer.Option(help="A classifier of the repository, or an ONNX file.")],
    samples: Annotated[int, typer.Option(min=1, help="Images to label and fit on.")] = 20_000,
    fresh: Annotated[int, typer.Option(min=2, help="Fresh images to measure effects on.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first image.")] = 0,
    method: Annotated[str, typer.Option(help="auto, linear, tanh (TL-GAN's) or logistic.")] = "auto",
    name: Annotated[str, typer.Option("--set", help="The set's name.")] = "fitted",
    space: Annotated[str, typer.Option(help="z, or w: behind the mapping network.")] = "z",
    layers: Annotated[str, typer.Option(help="Layers that move, FIRST-LAST from 0. Default: all.")] = "",
    classes: Annotated[
        str, typer.Option(help="Classes to draw from: names or indices with commas. Default: all.")
    ] = "",
    caption: Annotated[str, typer.Option(help="The caption of all images.")] = "",
    condition: Annotated[Path | None, typer.Option(help="A vector of conditions (.npy). Default: 0.")] = None,
    labels: Annotated[str, typer.Option(help="Labels of ONNX files: names with commas, or celeba40.")] = "",
    repository: Annotated[Path, typer.Option(help="The model repository.")] = _MODEL_REPOSITORY,
    version: Annotated[int | None, typer.Option(help="The generator's version. Default: the latest.")] = None,
    report: Annotated[Path | None, typer.Option(help="Markdown file of the report. Default: beside the set.")] = None,
    work: Annotated[Path | None, typer.Option(help="Folder that keeps labels. Default: the cache.")] = None,
) -> None:
    """Find the directions of a generator's latent space along which labels grow, and measure what they do.

    A run that was stopped goes on where it was: labels are kept.
    """
    with reported():
        from pellucid_export.axes import axis_set, fitting, ledger, spaces
        from pellucid_export.axes.conditions import Given
        from pellucid_export.axes.errors import AxesError
        from pellucid_export.axes.generator import open_generator
        from pellucid_export.axes.regression import Method
        from pellucid_export.axes.world import World
        from pellucid_export.repository import Repository

        if method not in list(Method):
            raise AxesError(f"method must be one of {', '.join(Method)}, not '{method}'")
        models = Repository(repository)
        directory = models.directory(model, version)
        axis_set.check_free(directory, name)
        given = Given(classes, caption, condition)
        generator = open_generator(models, model, version, spaces.region(space, layers), given)
        world = World(generator, [_extractor(models, one, labels) for one in extractor])
        plan = fitting.Plan(name, samples, fresh, seed, Method(method))
        with _progress() as progress:
            folder = work or ledger.work_folder(world, seed, _cache())
            fitted = fitting.fit(world, plan, folder, _tracked(progress))
        target = axis_set.write(directory, fitted.axis_set, fitted.directions)
        page = report or target.with_suffix(".md")
        chosen = {"--space": "" if space == "z" else space, "--layers": layers, **_choices(given)}
        _report(fitted, plan, world, _command(model, extractor, plan, chosen), page)
        Console().print(f"{len(fitted.axis_set.axes)} axes in {target}, report in {page}", soft_wrap=True)


def import_(
    files: Annotated[list[Path], typer.Argument(help="TL-GAN pickles (.pkl), InterFaceGAN boundaries (.npy).")],
    model: Annotated[str, typer.Option(help="The generator of the repository they are for.")],
    name: Annotated[str, typer.Option("--set", help="The set's name.")] = "imported",
    space: Annotated[str, typer.Option(help="z or w, where a file's name does not say. Default: z.")] = "",
    interface_signs: Annotated[bool, typer.Option(help="Signs and names of TL-GAN's notebook.")] = False,
    weights_digest: Annotated[str, typer.Option(help="Assert which weights they belong to.")] = "",
    for_model: Annotated[bool, typer.Option("--for-model", help="Assert that they belong to the model's.")] = False,
    license_: Annotated[str, typer.Option("--license", help="Licence of the directions (SPDX).")] = "",
    repository: Annotated[Path, typer.Option(help="The model repository.")] = _MODEL_REPOSITORY,
    version: Annotated[int | None, typer.Option(help="The generator's version. Default: the latest.")] = None,
) -> None:
    """Import directions that others found, all files into one set. Nothing in them is executed."""
    with reported():
        from pellucid_export.axes import axis_set, importing, spaces
        from pellucid_export.axes.errors import AxesError
        from pellucid_export.repository import Repository

        models = Repository(repository)
        actual = models.version(model, version).weights_digest
        if weights_digest not in ("", actual):
            raise AxesError(f"axes asserted for {weights_digest}; version of '{model}' has {actual}")
        inside = spaces.parse(space) if space else None
        imported = [one for file in files for one in importing.read(file, inside, interface_signs=interface_signs)]
        asserted = actual if for_model or weights_digest else ""
        described = importing.axis_set(name, imported, models.card(model), asserted, license_)
        target = axis_set.write(models.directory(model, version), described, importing.directions(imported))
        Console().print(f"{len(imported)} axes in {target}", soft_wrap=True)


def _extractor(models: "Repository", name: str, labels: str) -> "Extractor":
    from pellucid_export.axes import world

    if name.endswith(".onnx"):
        return world.open_file(Path(name), labels)
    return world.open_extractor(models, name)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=False
    )


def _tracked(progress: Progress) -> Callable[[str, int], Callable[[int], None]]:
    def start(description: str, total: int) -> Callable[[int], None]:
        task = progress.add_task(description, total=total)
        return lambda count: progress.advance(task, count)

    return start


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "pellucid" / "axes"


def _choices(given: "Given") -> dict[str, str]:
    condition = given.condition.name if given.condition else ""
    return {"--classes": given.classes, "--caption": given.caption, "--condition": condition}


def _command(model: str, extractors: list[str], plan: "Plan", chosen: dict[str, str]) -> str:
    options = [word for extractor in extractors for word in ("--extractor", extractor)]
    numbers = {"--samples": plan.samples, "--fresh": plan.fresh, "--seed": plan.seed, "--method": plan.method}
    words = [*options, *(str(word) for pair in numbers.items() for word in pair), "--set", plan.name]
    words += [word for option, value in chosen.items() if value for word in (option, value)]
    return shlex.join(["pellucid", "axes", "fit", model, *words])


def _report(fitted: "Fitted", plan: "Plan", world: "World", command: str, page: Path) -> None:
    from pellucid_export.axes import report, sweep
    from pellucid_export.axes.fitting import fresh_seeds

    picture = page.with_name(_SWEEP.format(page.stem))
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(report.write(fitted, plan, world, command, picture.name), encoding="utf-8")
    seed = sweep.typical(world.generator, fresh_seeds(plan), fitted.steps)
    names = [axis.name for axis in fitted.axis_set.axes]
    sweep.draw(world.generator, seed, fitted.steps, names).save(picture, optimize=True)
