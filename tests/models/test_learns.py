"""A model learns what it is shown, in about a minute on a processor."""

import keras
import numpy as np
import pytest

from keras_wmgm import MultiscaleModel
from keras_wmgm import factors
from keras_wmgm import networks
from tests.diffusion.gaussian import spectrum

SIZE = {"filters": (16, 16), "num_blocks": 1}


def averaging(rate, momentum=0.99):
    return keras.optimizers.Adam(rate, use_ema=True, ema_momentum=momentum)


# Shifted discs


def discs(count, seed):
    """Return soft discs of one radius, anywhere in the picture."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(5, 11, (2, count, 1, 1))
    y, x = np.mgrid[:16, :16] + 0.5
    radius = np.hypot(y - centre[0], x - centre[1])
    return (0.9 * np.tanh(4 - radius))[..., None].astype("float32")


@pytest.fixture(scope="module")
def learned():
    keras.utils.set_random_seed(0)
    model = MultiscaleModel(
        (16, 16, 1),
        1,
        factors.DiffusionFactor(networks.ScoreUNet(1, **SIZE)),
        factors.AdversarialFactor(
            networks.DetailUNet(1, filters=(16, 16), head_filters=16),
            networks.DetailCritic(4, filters=(16, 32)),
            adversarial_loss="relativistic",
            mse_weight=1.0,
        ),
    )
    model.compile(
        {
            "coarse": averaging(2e-3),
            "detail": averaging(1e-3),
            "critic": keras.optimizers.Adam(1e-3),
        }
    )
    data = discs(1024, 0)
    model.fit(data[:32], epochs=1, verbose=0)
    before = model.evaluate(discs(256, 1), verbose=0, return_dict=True)
    history = model.fit(data, epochs=8, batch_size=32, verbose=0).history
    after = model.evaluate(discs(256, 1), verbose=0, return_dict=True)
    return model, before, history, after


@pytest.mark.slow
def test_losses_on_unseen_images_go_down(learned):
    _, before, history, after = learned
    print(before, after, history)
    assert after["coarse_loss"] < 0.5 * before["coarse_loss"]
    assert after["detail_loss"] < 0.8 * before["detail_loss"]
    for values in history.values():
        assert np.isfinite(values).all()


@pytest.mark.slow
def test_what_is_drawn_varies_as_the_data_do(learned):
    model, _, _, after = learned
    drawn = model.generate(256, seed=0, batch_size=64, dtype="float32")
    coarse, details, _ = model.pyramid.analyze(drawn)
    for band in (coarse, details[0]):
        band = keras.ops.convert_to_numpy(band)
        print(np.sqrt((band**2).mean()))
        # Real bands are white.
        assert 0.8 < np.sqrt((band**2).mean()) < 1.2
    assert 0.8 < after["std_ratio_1"] < 1.2
    assert 0.8 < after["std_ratio_coarse"] < 1.2


# Gaussian fields


def fields(count, seed):
    """Return periodic Gaussian fields, of spectrum 1 / frequency."""
    rng = np.random.default_rng(seed)
    white = np.fft.fft2(rng.standard_normal((count, 8, 8)))
    filtered = white * np.sqrt(spectrum(8, eta=1.0)).reshape(8, 8)
    return 0.2 * np.fft.ifft2(filtered).real


def radial(images):
    """Return the mean power by the distance from the origin."""
    power = (np.abs(np.fft.fft2(images)) ** 2).mean(axis=0)
    frequency = 8 * np.fft.fftfreq(8)
    radius = np.rint(np.hypot(frequency[:, None], frequency)).astype(int)
    return np.bincount(radius.ravel(), power.ravel()) / np.bincount(
        radius.ravel()
    )


def linear_score():
    """Return a network that can be the score of any Gaussian on 8x8."""
    x = keras.Input((8, 8, 1), name="x")
    log_snr = keras.Input((), name="log_snr")
    level = keras.layers.Reshape((1,))(log_snr)
    level = keras.layers.Rescaling(0.25)(level)
    for units in (64, 64):
        level = keras.layers.Dense(units, activation="tanh")(level)
    gain = keras.layers.Dense(64)(level)
    basis = keras.initializers.Orthogonal(0)
    modes = keras.layers.Dense(64, use_bias=False, kernel_initializer=basis)(
        keras.layers.Flatten()(x)
    )
    v = keras.layers.Multiply()([gain, modes])
    v = keras.layers.Dense(64, use_bias=False)(v)
    outputs = keras.layers.Reshape((8, 8, 1))(v)
    return keras.Model({"x": x, "log_snr": log_snr}, outputs)


def test_samples_have_the_spectrum_of_the_data():
    keras.utils.set_random_seed(0)
    model = MultiscaleModel(
        (8, 8, 1), 0, factors.DiffusionFactor(linear_score(), 0.0, t_max=3.0)
    )
    data = np.clip(fields(16384, 0), -1, 1)[..., None].astype("float32")
    for rate, epochs in ((1e-2, 8), (2e-3, 8), (3e-4, 4)):
        model.compile(averaging(rate, 0.99))
        model.fit(data, epochs=epochs, batch_size=256, verbose=0)
    drawn = model.generate(
        4096, num_steps=24, seed=0, batch_size=512, dtype="float32", verbose=0
    )
    found, expected = radial(drawn[..., 0]), radial(fields(65536, 1))
    print(found / expected)
    np.testing.assert_allclose(found, expected, 0.15)
