import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from pellucid_export.axes import ledger, sampling
from pellucid_export.axes.generator import open_generator
from pellucid_export.axes.ledger import CHUNK, Ledger
from pellucid_export.axes.sampling import Samples
from pellucid_export.axes.world import World, open_extractor
from pellucid_export.repository import Repository

pytestmark = pytest.mark.torch

COUNT = 2 * CHUNK + 100


def sample(world: World, count: int, folder: Path) -> Samples:
    return sampling.sample(world, 3, count, Ledger(folder, ledger.fingerprint(world, 3)), lambda count: None)


def sample_and_die(root: Path, folder: Path) -> None:
    """Sample in a process of its own and kill it after the first chunk."""
    models = Repository(root)
    world = World(open_generator(models, "dots"), [open_extractor(models, "reader")])
    kept = Ledger(folder, ledger.fingerprint(world, 3))
    sampling.sample(world, 3, COUNT, kept, lambda count: os.kill(os.getpid(), signal.SIGKILL))


def test_a_sample_is_the_label_of_the_image_of_its_seed(world: World, tmp_path: Path) -> None:
    samples = sample(world, 10, tmp_path)
    expected = np.random.Generator(np.random.Philox(key=[3 + 4, 0])).standard_normal(4, dtype=np.float32)
    np.testing.assert_array_equal(samples.points[4], expected)
    read = (np.round(128 + 25 * expected) - 128) / 25
    np.testing.assert_allclose(samples.labels[4, 0], 3 + 2 * read[0], rtol=0, atol=1e-5)


def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(world: World, models: Repository, tmp_path: Path) -> None:
    unbroken = sample(world, COUNT, tmp_path / "unbroken")
    killed = multiprocessing.get_context("spawn").Process(
        target=sample_and_die, args=(models.root, tmp_path / "killed")
    )
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    (chunk,) = (tmp_path / "killed").glob("labels-*.npy")
    written = chunk.stat().st_mtime_ns
    resumed = sample(world, COUNT, tmp_path / "killed")
    assert chunk.stat().st_mtime_ns == written
    assert resumed.labels.tobytes() == unbroken.labels.tobytes()
    assert resumed.points.tobytes() == unbroken.points.tobytes()


def test_more_samples_keep_the_ones_there_are(world: World, tmp_path: Path) -> None:
    few = sample(world, CHUNK, tmp_path)
    (chunk,) = tmp_path.glob("labels-*.npy")
    written = chunk.stat().st_mtime_ns
    more = sample(world, COUNT, tmp_path)
    assert (len(more.labels), chunk.stat().st_mtime_ns) == (COUNT, written)
    np.testing.assert_array_equal(more.labels[:CHUNK], few.labels)
