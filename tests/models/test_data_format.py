"""Channels are last, whatever `keras.config.image_data_format` says."""

import numpy as np
import pytest

import keras_wmgm
from keras_wmgm.metrics import ssim
from tests.helpers import to_numpy
from tests.helpers import wave
from tests.models import tiny

IMAGES = wave((4, 16, 16, 3))
DRAW = {"num_steps": 2, "seed": 1, "verbose": 0}

pytestmark = pytest.mark.usefixtures("channels_first")


def test_a_model_learns_draws_and_is_saved(tmp_path):
    model = tiny.compiled(tiny.small_wmgm(), run_eagerly=tiny.BACKEND != "jax")
    before = tiny.weights(model)
    history = model.fit(IMAGES, batch_size=4, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert tiny.moved(tiny.weights(model), before) == before.keys()
    model.save_to_preset(tmp_path / "preset")
    saved = keras_wmgm.from_preset(tmp_path / "preset")
    np.testing.assert_array_equal(
        saved.generate(1, **DRAW), model.generate(1, **DRAW)
    )


def test_similarity_does_not_depend_on_which_side_is_up():
    x, y = IMAGES[:2], IMAGES[2:]
    turned = (image.transpose(0, 2, 1, 3) for image in (x, y))
    np.testing.assert_allclose(
        to_numpy(ssim(x, y)), to_numpy(ssim(*turned)), 0, 1e-6
    )
