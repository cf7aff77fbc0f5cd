"""Channels are last, whatever `keras.config.image_data_format` says."""

import numpy as np
import pytest

import keras_wmgm
from keras_wmgm.metrics import ssim
from tests.helpers import to_numpy
from tests.helpers import wave
from tests.models import tiny

DRAW = {"num_steps": 2, "seed": 1, "verbose": 0}


@pytest.fixture(scope="module")
def drawn():
    """A picture of the shipped preset, drawn before the format is changed."""
    return _draw(keras_wmgm.DEFAULT_PRESET)


def _draw(preset):
    return keras_wmgm.from_preset(preset).generate(1, **DRAW)


def test_the_shipped_preset_draws_the_same(drawn, channels_first):
    again = _draw(keras_wmgm.DEFAULT_PRESET)
    np.testing.assert_array_equal(again, drawn)


def test_a_model_learns_draws_and_is_saved(tmp_path, channels_first):
    model = tiny.compiled(tiny.small_wmgm(), run_eagerly=tiny.BACKEND != "jax")
    images = wave((4, 16, 16, 3))
    before = tiny.weights(model)
    history = model.fit(images, batch_size=4, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert tiny.moved(tiny.weights(model), before) == before.keys()
    model.save_to_preset(tmp_path / "preset")
    np.testing.assert_array_equal(
        _draw(tmp_path / "preset"), model.generate(1, **DRAW)
    )
    large = model.upscale(images[:1, :8, :8], 2, **DRAW)
    assert large.shape == (1, 16, 16, 3)


def test_similarity_is_the_same(drawn, channels_first):
    x, y = wave((2, 12, 13, 3)), wave((2, 12, 13, 3), 1)
    turned = (image.transpose(0, 2, 1, 3) for image in (x, y))
    np.testing.assert_allclose(
        to_numpy(ssim(x, y)), to_numpy(ssim(*turned)), 0, 1e-6
    )
