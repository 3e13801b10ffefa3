import numpy as np
import pytest

from pellucid.v1.model_pb2 import DETERMINISM_EXACT, DETERMINISM_ONE_LEVEL
from pellucid_export import determinism, parity
from pellucid_export.errors import ParityError
from pellucid_export.family import Signature, Tensor
from pellucid_export.runtime import Runner
from pellucid_export.samples import Array, Arrays, draw

pytestmark = pytest.mark.torch

LATENT = Tensor("latent", "float32", (3,))
UINT8 = Tensor("image", "uint8", (1, 1, 3), low=0, high=255)
FLOAT = Tensor("image", "float32", (1, 1, 3), low=-1, high=1)
YEARS = Tensor("label", "float32", (1, 1, 3), tolerance=0.25)


def giving(name: str, value: float, dtype: str, **more: Array) -> Runner:
    """A network whose output is `value` everywhere."""

    def run(inputs: object) -> Arrays:
        rows = len(inputs["latent"])  # type: ignore[index]
        return {name: np.full((rows, 1, 1, 3), value, dtype), **more}

    return run


@pytest.mark.parametrize(
    ("tensor", "expected", "found", "error", "tolerance"),
    [
        (UINT8, 100, 101, 1.0, 1.0),
        (FLOAT, 0.0, 1 / 255, 0.5, 1.0),
        (YEARS, 30.0, 30.125, 0.125, 0.25),
    ],
)
def test_errors_are_in_levels_for_images_and_in_units_for_labels(
    tensor: Tensor, expected: float, found: float, error: float, tolerance: float
) -> None:
    signature = Signature((LATENT,), (tensor,))
    reference, exported = (giving(tensor.name, value, tensor.dtype) for value in (expected, found))
    result = parity.compare(reference, exported, signature, "onnxruntime 1", samples=5)
    assert result.max_error == pytest.approx(error, abs=1e-6)
    assert (result.tolerance, result.samples, result.runtime) == (tolerance, 5, "onnxruntime 1")


@pytest.mark.parametrize(("tensor", "found"), [(UINT8, 102), (FLOAT, 0.01), (FLOAT, float("nan")), (YEARS, 0.3)])
def test_an_error_beyond_the_tolerance_is_refused(tensor: Tensor, found: float) -> None:
    expected = 100 if tensor is UINT8 else 0
    reference, exported = (giving(tensor.name, value, tensor.dtype) for value in (expected, found))
    with pytest.raises(ParityError, match=f"output '{tensor.name}' differs by"):
        parity.compare(reference, exported, Signature((LATENT,), (tensor,)), "torch 2")


def test_another_type_is_refused() -> None:
    with pytest.raises(ParityError, match=r"is float32 .*expected uint8"):
        parity.compare(
            giving("image", 1, "uint8"), giving("image", 1, "float32"), Signature((LATENT,), (UINT8,)), "torch 2"
        )


def shifted_in_batches(levels: int) -> Runner:
    """An image that shows the first latent's sign, `levels` higher in any batch but of one."""

    def run(inputs: object) -> Arrays:
        latent = inputs["latent"]  # type: ignore[index]
        values = (latent[:, :1] > 0) * 100 + (levels if len(latent) > 1 else 0)
        return {"image": np.repeat(values, 3, 1).reshape(-1, 1, 1, 3).astype(np.uint8)}

    return run


def test_rows_that_do_not_depend_on_their_batch_are_exact() -> None:
    signature = Signature((LATENT,), (UINT8,))
    assert determinism.measure(shifted_in_batches(0), signature, 4) == DETERMINISM_EXACT


def test_rows_that_differ_by_a_level_are_within_one_level() -> None:
    signature = Signature((LATENT,), (UINT8,))
    assert determinism.measure(shifted_in_batches(1), signature, 4) == DETERMINISM_ONE_LEVEL


def test_rows_that_differ_by_more_are_refused() -> None:
    with pytest.raises(ParityError, match="differs by 2 in a batch of 2 from the same row alone; 1 is tolerated"):
        determinism.measure(shifted_in_batches(2), Signature((LATENT,), (UINT8,)), 4)


def test_samples_keep_to_their_ranges_and_repeat() -> None:
    signature = Signature(
        (LATENT, Tensor("label", "int64", (), low=0, high=2), Tensor("image", "uint8", (2, 2, 3))), ()
    )
    samples = draw(signature, 200, seed=3)
    assert {name: (value.dtype.name, value.shape) for name, value in samples.items()} == {
        "latent": ("float32", (200, 3)),
        "label": ("int64", (200,)),
        "image": ("uint8", (200, 2, 2, 3)),
    }
    assert set(samples["label"].tolist()) == {0, 1, 2}
    assert (samples["image"].min(), samples["image"].max()) == (0, 255)
    assert abs(float(np.std(samples["latent"])) - 1) < 0.1
    np.testing.assert_array_equal(draw(signature, 200, seed=3)["latent"], samples["latent"])
