"""Resident memory of processes over time, and how it grows once they have warmed up."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import psutil

MEGABYTE = 1e6


@dataclass(frozen=True)
class Growth:
    """How the memory of one process and its children grew over the second half of a run; megabytes are of 10^6."""

    name: str
    samples: int
    last_mb: float
    mb_per_hour: float
    mb: float
    """Growth over the half, by the same line."""

    def __str__(self) -> str:
        slope = f"{self.mb_per_hour:+.1f} MB/hour ({self.mb:+.1f} MB in {self.samples} s)"
        return f"{self.name} grew by {slope} to {self.last_mb:.0f} MB"


class Memory:
    """Samples the resident memory of processes, each with its children, every second while entered."""

    def __init__(self, **processes: psutil.Process):
        self._processes = processes
        self._samples: dict[str, list[tuple[float, float]]] = {name: [] for name in processes}

    def growth(self, name: str) -> Growth:
        """Fit a line to the second half of the samples."""
        samples = np.array(self._samples[name])
        seconds, megabytes = samples[len(samples) // 2 :].T
        slope = float(np.polyfit(seconds, megabytes, 1)[0])
        total = slope * float(seconds[-1] - seconds[0])
        return Growth(name, len(seconds), float(np.median(megabytes[-10:])), slope * 3600, total)

    def course(self, name: str) -> str:
        """Tell the medians of each tenth of the samples."""
        tenths = np.array_split(np.array(self._samples[name])[:, 1], 10)
        return f"by tenths {' '.join(f'{np.median(tenth):.0f}' for tenth in tenths)} MB"

    async def __aenter__(self) -> Self:
        self._sampling = asyncio.create_task(self._sample())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sampling.cancel()
        # Raises what sampling died of: a process that ended is a failure of the run.
        with suppress(asyncio.CancelledError):
            await self._sampling

    async def _sample(self) -> None:
        while True:
            for name, process in self._processes.items():
                self._samples[name].append((time.monotonic(), _resident(process) / MEGABYTE))
            await asyncio.sleep(1)


def _resident(process: psutil.Process) -> int:
    total = int(process.memory_info().rss)
    for child in process.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:
            # A model that is loaded anew has a new process.
            continue
    return total
