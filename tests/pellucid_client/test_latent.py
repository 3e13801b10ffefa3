import numpy as np
import pytest

from pellucid_client import Latent


def test_a_latent_in_another_space_says_so() -> None:
    message = Latent(np.arange(6, dtype=np.float32).reshape(2, 3), "w+").message()
    assert (message.space, list(message.values)) == (3, [0, 1, 2, 3, 4, 5])
    assert Latent.from_message(message).space == "w+"
    assert Latent(np.arange(2, dtype=np.float32), "w").message().space == 2
    assert Latent(np.arange(2, dtype=np.float32)).message().space == 1


def test_styles_are_the_rows_that_were_given() -> None:
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(Latent.from_message(Latent(rows, "w+").message()).styles(2), rows)
    with pytest.raises(ValueError, match="reshape"):
        Latent(rows, "w+").styles(4)


def test_one_style_counts_for_every_layer() -> None:
    assert Latent(np.array([1.0, 2.0], dtype=np.float32), "w").styles(3).tolist() == [[1, 2]] * 3


def test_a_latent_before_the_mapping_has_no_styles() -> None:
    with pytest.raises(ValueError, match='a latent in "z" has no styles'):
        Latent(np.zeros(4, dtype=np.float32)).styles(2)
