import errno
import os

import keras
import numpy as np
import pytest
from PIL import Image

from keras_wmgm import WSGM
from keras_wmgm.callbacks import SampleGrid
from keras_wmgm.data import image_grid
from keras_wmgm.models.small_factors import detail_diffusion
from tests.helpers import wave
from tests.models import tiny


@pytest.mark.each
def test_grids_are_drawn_with_the_averages_and_training_goes_on(tmp_path):
    keras.utils.set_random_seed(3)
    ema = keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.5)
    model = tiny.compiled(tiny.model(0), ema)
    plain = tiny.compiled(tiny.model(0), ema)
    plain.set_weights(model.get_weights())
    grid = SampleGrid(tmp_path / "new", every=2, num_images=5, num_steps=2)
    fit = {"epochs": 4, "batch_size": 8, "verbose": 0}
    model.fit(tiny.IMAGES, callbacks=[grid], **fit)
    plain.fit(tiny.IMAGES, **fit)
    tiny.assert_equal(tiny.weights(model), tiny.weights(plain), 1e-6)
    files = sorted((tmp_path / "new").iterdir())
    assert [f.name for f in files] == ["epoch_0002.png", "epoch_0004.png"]
    # After training the networks hold the averages of the last epoch.
    drawn = model.generate(5, num_steps=2, seed=0, verbose=0)
    found = [np.asarray(Image.open(f)).astype("int32") for f in files]
    assert np.abs(found[1] - image_grid(drawn)[..., 0]).max() <= 1
    assert np.any(found[0] != found[1])


def test_training_goes_on_where_a_grid_cannot_be_written(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    told = []
    model = tiny.compiled(tiny.model(0), "sgd")
    grid = SampleGrid(tmp_path, num_images=1, num_steps=1, tell=told.append)
    monkeypatch.setattr(os, "replace", fail)
    model.fit(tiny.IMAGES, epochs=2, verbose=0, callbacks=[grid])
    assert model.epochs_trained == 2
    assert len(told) == 2 and "No space left on device" in told[0]
    assert os.listdir(tmp_path) == []


def test_details_that_nothing_has_learned_are_left_out(tmp_path):
    def drawn(name):
        grid.draw(tmp_path / name)
        return np.asarray(Image.open(tmp_path / name)).astype("int32")

    model = WSGM((16, 16, 3), num_levels=2)
    model.adapt(wave((4, 16, 16, 3)))
    grid = SampleGrid(tmp_path, num_images=1, num_steps=2)
    grid.set_model(model)
    assert [factor.is_new for factor in model.details] == [True, True]
    image = model.generate(1, num_steps=2, seed=0, verbose=0)[0]
    for size, name in ((4, "detail_2"), (2, "detail_1"), (1, None)):
        means = image.reshape(16 // size, size, 16 // size, size, 3)
        means = means.mean((1, 3)).repeat(size, 0).repeat(size, 1)
        assert np.abs(drawn("grid.png") - means).max() <= 0.5
        if name:
            last = model.factors[name].network.layers[-1]
            last.bias.assign(last.bias + 0.1)
            image = model.generate(1, num_steps=2, seed=0, verbose=0)[0]
    assert not any(factor.is_new for factor in model.details)


def test_what_a_gan_draws_upon_nothing_is_left_out(tmp_path):
    details = [tiny.gan(3), detail_diffusion(3)]
    model = WSGM((16, 16, 3), num_levels=2, details=details)
    model.adapt(wave((4, 16, 16, 3)))
    grid = SampleGrid(tmp_path, num_images=1, num_steps=2)
    grid.set_model(model)
    assert [factor.is_new for factor in model.details] == [False, True]
    grid.draw(tmp_path / "grid.png")
    blocks = np.asarray(Image.open(tmp_path / "grid.png"))
    blocks = blocks.reshape(4, 4, 4, 4, 3)
    assert np.ptp(blocks, axis=(1, 3)).max() == 0 and np.ptp(blocks) > 0


@pytest.mark.parametrize("name", ["every", "num_images"])
def test_counts_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=f"`{name}` must be.*Received: "):
        SampleGrid(tmp_path, **{name: 0})


def test_a_grid_may_be_drawn_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # Windows
    model = tiny.model(0)
    model.adapt(tiny.IMAGES)
    grid = SampleGrid("~/samples", num_images=1, num_steps=1)
    grid.set_model(model)
    grid.draw("~/grid.png")
    assert sorted(os.listdir(tmp_path)) == ["grid.png", "samples"]
