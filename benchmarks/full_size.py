"""Models of the published sizes, with random weights, from checkpoint to served image.

`python -m benchmarks.full_size [--only NAME ...] [--out FILE]` exports each, loads it into Triton, asks the gateway for
one image, and prints seconds and peak memory (resident, of the export's process; of Triton with all its instances).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from pellucid_client import Client, Controls, Scene
from pellucid_client.demo.stack import Stack

START_TIMEOUT_S = 900.0
CALL_TIMEOUT_S = 600.0
MIB = 2**20

Ask = Callable[[Client, str], Any]


@dataclass(frozen=True)
class Work:
    """A model: its family, what is asked of it, and which function of tests' published writes its checkpoint."""

    name: str
    family: str
    ask: Ask
    write: str = "write"
    max_batch_size: int = 2
    options: dict[str, str] = field(default_factory=dict)


def generated(**controls: Any) -> Ask:
    """Ask for one image of a seed."""

    def ask(client: Client, model: str) -> Any:
        return client.generate(model, seed=1, controls=Controls(**controls), timeout_s=CALL_TIMEOUT_S)

    return ask


def translated(height: int, width: int, **told: Any) -> Ask:
    """Ask for the translation of one picture."""

    def ask(client: Client, model: str) -> Any:
        picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return client.translate(model, picture, timeout_s=CALL_TIMEOUT_S, **told)

    return ask


def painted(height: int, width: int) -> Ask:
    """Ask for the photograph of one scene: a street of Cityscapes' labels, with 40 objects on it."""

    def ask(client: Client, model: str) -> Any:
        draw = np.random.default_rng(0)
        labels = np.repeat(np.array([23, 11, 7], np.uint8), height // 3 + 1)[:height, None].repeat(width, axis=1)
        instances = labels.astype(np.uint16)
        for number, (top, left) in enumerate(draw.integers(0, (height * 3 // 4, width * 3 // 4), (40, 2))):
            object_ = np.s_[top : top + height // 8, left : left + width // 16]
            labels[object_], instances[object_] = 26, 26_000 + number
        return client.translate(model, Scene(labels, instances), timeout_s=CALL_TIMEOUT_S)

    return ask


WORK = (
    Work("pggan-1024", "pggan", generated()),
    Work("stylegan-1024", "stylegan", generated()),
    Work("stylegan2-1024", "stylegan2", generated()),
    Work("biggan-deep-256", "biggan", generated(classes=207)),
    Work("attngan-bird-256", "attngan", generated(caption="word5 word8 word13")),
    Work("stargan-256", "stargan", translated(256, 256, to="Young", labels={"Male": 1}), options={"image_size": "256"}),
    Work("cyclegan-1280x720", "cyclegan", translated(720, 1280)),
    Work("pix2pix-256", "pix2pix", translated(256, 256)),
    Work("pix2pixhd-1024x512", "pix2pixhd", painted(512, 1024), write="write_global", max_batch_size=1),
    Work("pix2pixhd-2048x1024", "pix2pixhd", painted(1024, 2048), max_batch_size=1),
)


def measure(work: Work, folder: Path) -> dict[str, Any]:
    """Take one model all the way."""
    checkpoint = getattr(import_module(f"tests.pellucid_export.published.{work.family}"), work.write)(folder)
    repository = folder / "repository"
    options = [word for name, value in work.options.items() for word in ("--option", f"{name}={value}")]
    command = [sys.executable, "-m", "pellucid_client", "export", work.family, str(checkpoint), "--name", work.name]
    export_s, export_mib = exported(
        [*command, "--repository", str(repository), "--max-batch-size", str(work.max_batch_size), *options]
    )
    started = time.monotonic()
    with Stack.of_repository(repository, folder / "log", START_TIMEOUT_S) as stack, peak_of_children() as peak:
        loaded_s = time.monotonic() - started
        with Client(stack.facts["gateway"]) as client:
            times = []
            for _ in range(3):
                started = time.monotonic()
                work.ask(client, work.name)
                times.append(time.monotonic() - started)
    return {
        "model": work.name,
        "files_mib": round(sum(file.stat().st_size for file in repository.rglob("*") if file.is_file()) / MIB),
        "export_s": round(export_s, 1),
        "export_peak_mib": round(export_mib),
        "load_s": round(loaded_s, 1),
        "image_s": round(sorted(times)[1], 2),
        "serving_peak_mib": round(peak[0]),
    }


def exported(command: list[str]) -> tuple[float, float]:
    """Run an export: its seconds, and the most memory that it had resident, in MiB."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise SystemExit(output.read())
    return time.monotonic() - started, used.ru_maxrss / 1024


@contextmanager
def peak_of_children() -> Iterator[list[float]]:
    """Watch the resident memory of all processes that this one started, in MiB."""
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            total = 0
            for child in psutil.Process().children(recursive=True):
                try:
                    total += child.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak[0] = max(peak[0], total / MIB)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def main() -> None:
    """Measure, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[work.name for work in WORK])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/full_size.json"))
    options = parser.parse_args()
    found = {row["model"]: row for row in json.loads(options.out.read_text())} if options.out.exists() else {}
    for work in WORK:
        if work.name in options.only:
            with tempfile.TemporaryDirectory() as folder:
                found[work.name] = measure(work, Path(folder))
            Console().print(found[work.name])
            # One that fails must not cost the hours of those before it.
            options.out.write_text(json.dumps(list(found.values()), indent=2) + "\n")
    table = Table(*next(iter(found.values())))
    for row in found.values():
        table.add_row(*map(str, row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
