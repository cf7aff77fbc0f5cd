"""The preset that comes with the package, on whichever backend this is."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_wmgm
from keras_wmgm.data import image_grid
from tests.models import tiny

ZOO = Path(keras_wmgm.__file__).parents[1] / "zoo"
WEIGHTS = "ef75c908dac76a3f739e2a2779e086a28f5f834087b7b643bfcbcc4f024f2d02"


@pytest.fixture(scope="module")
def shipped():
    return keras_wmgm.from_preset(keras_wmgm.DEFAULT_PRESET)


@pytest.mark.each
def test_weights_are_the_same_to_the_bit(shipped):
    digest = hashlib.sha256()
    for role in sorted(shipped.networks):
        for weight in shipped.networks[role].weights:
            digest.update(tiny.copy(weight).astype("float16").tobytes())
            exact = tiny.copy(weight).astype("float16").astype("float32")
            np.testing.assert_array_equal(exact, tiny.copy(weight))
    assert digest.hexdigest() == WEIGHTS


@pytest.mark.each
def test_it_draws_the_grid_of_its_card(shipped):
    images = shipped.generate(16, seed=0, verbose=0)
    card = Image.open(ZOO / keras_wmgm.DEFAULT_PRESET / "samples.png")
    difference = np.int32(np.asarray(card)) - np.int32(image_grid(images))
    assert np.abs(difference).max() <= 2


def test_it_draws_the_same_in_any_data_format(shipped, channels_first):
    draw = {"num_steps": 1, "seed": 1, "verbose": 0}
    twin = keras_wmgm.from_preset(keras_wmgm.DEFAULT_PRESET)
    np.testing.assert_array_equal(
        twin.generate(1, **draw), shipped.generate(1, **draw)
    )


def test_it_is_small():
    folder = keras_wmgm.presets.REGISTRY[keras_wmgm.DEFAULT_PRESET].folder
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 10 * 2**20
