import json
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from pellucid_export.axes import sampling
from pellucid_export.axes.errors import AxesError
from pellucid_export.axes.world import World, open_extractor, open_generator
from pellucid_export.repository import Repository

pytestmark = pytest.mark.torch

COUNT = 2 * sampling.CHUNK + 100


def sample_and_die(root: Path, folder: Path) -> None:
    """Sample in a process of its own and kill it after the first chunk."""
    models = Repository(root)
    world = World(open_generator(models, "dots"), [open_extractor(models, "reader")])
    sampling.sample(world, 3, COUNT, folder, lambda count: os.kill(os.getpid(), signal.SIGKILL))


def test_a_sample_is_the_label_of_the_image_of_its_seed(world: World, tmp_path: Path) -> None:
    samples = sampling.sample(world, 3, 10, tmp_path, lambda count: None)
    expected = np.random.Generator(np.random.Philox(key=[3 + 4, 0])).standard_normal(4, dtype=np.float32)
    np.testing.assert_array_equal(samples.latents[4], expected)
    read = (np.round(128 + 25 * expected) - 128) / 25
    np.testing.assert_allclose(samples.labels[4, 0], 3 + 2 * read[0], rtol=0, atol=1e-5)


def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(world: World, models: Repository, tmp_path: Path) -> None:
    unbroken = sampling.sample(world, 3, COUNT, tmp_path / "unbroken", lambda count: None)
    killed = multiprocessing.get_context("spawn").Process(
        target=sample_and_die, args=(models.root, tmp_path / "killed")
    )
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    (chunk,) = (tmp_path / "killed").glob("labels-*.npy")
    written = chunk.stat().st_mtime_ns
    resumed = sampling.sample(world, 3, COUNT, tmp_path / "killed", lambda count: None)
    assert chunk.stat().st_mtime_ns == written
    assert resumed.labels.tobytes() == unbroken.labels.tobytes()
    assert resumed.latents.tobytes() == unbroken.latents.tobytes()


def test_more_samples_keep_the_ones_there_are(world: World, tmp_path: Path) -> None:
    few = sampling.sample(world, 3, sampling.CHUNK, tmp_path, lambda count: None)
    more = sampling.sample(world, 3, COUNT, tmp_path, lambda count: None)
    assert len(more.labels) == COUNT
    np.testing.assert_array_equal(more.labels[: sampling.CHUNK], few.labels)


def test_samples_of_another_seed_are_not_taken(world: World, tmp_path: Path) -> None:
    sampling.sample(world, 3, 10, tmp_path, lambda count: None)
    with pytest.raises(AxesError, match="holds labels of another seed"):
        sampling.sample(world, 4, 10, tmp_path, lambda count: None)


def test_labels_of_unknown_origin_are_not_taken(world: World, tmp_path: Path) -> None:
    np.save(tmp_path / "labels-000000000-10.npy", np.zeros((10, 3)))
    with pytest.raises(AxesError, match="of unknown origin"):
        sampling.sample(world, 3, 10, tmp_path, lambda count: None)


def test_the_fingerprint_names_generator_and_extractors_by_digest(world: World, tmp_path: Path) -> None:
    sampling.sample(world, 3, 10, tmp_path, lambda count: None)
    found = json.loads((tmp_path / "fingerprint.json").read_text())
    assert found["weights"] == world.generator.digest
    assert found["extractors"] == {"reader": world.extractors[0].digest}
    assert sampling.work_folder(world, 3, tmp_path) != sampling.work_folder(world, 4, tmp_path)
