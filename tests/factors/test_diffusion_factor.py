import math

import keras
import numpy as np
import pytest
from keras import ops

from keras_wmgm import diffusion
from keras_wmgm import factors
from keras_wmgm.factors.noise_levels import NoiseLevels
from tests.helpers import fill
from tests.helpers import to_numpy
from tests.helpers import wave
from tests.models import tiny


class Scores(keras.layers.Layer):
    """The velocity a Gaussian of any standard deviation has."""

    def __init__(self, std=1.0, **kwargs):
        super().__init__(**kwargs)
        self.std = std

    def call(self, x, log_snr):
        log_snr = ops.reshape(log_snr, (-1, 1, 1, 1))
        alpha, variance = ops.sqrt(ops.sigmoid(log_snr)), ops.sigmoid(-log_snr)
        guess = alpha * self.std**2 * x
        guess = guess / (alpha**2 * self.std**2 + variance)
        return (alpha * x - guess) / ops.sqrt(variance)


def gaussian(std=1.0, **kwargs):
    """Return the factor whose network knows the answer."""
    x = keras.Input((None, None, 2), name="x")
    log_snr = keras.Input((), name="log_snr")
    inputs = {"x": x, "log_snr": log_snr}
    network = keras.Model(inputs, Scores(std)(x, log_snr))
    return factors.DiffusionFactor(network, **kwargs)


def zero(**kwargs):
    """Return the factor whose network says nothing."""
    factor = tiny.diffusion(2, **kwargs)
    for weight in factor.network.weights:
        weight.assign(np.zeros(weight.shape))
    return factor


def loss(factor, target, condition=None, training=True, seed=3):
    result = factor.loss(
        ops.convert_to_tensor(target),
        condition,
        seed=keras.random.SeedGenerator(seed),
        training=training,
    )
    (value,) = result.losses.values()
    return float(to_numpy(value)), float(to_numpy(result.std_ratio))


def drawn(factor, shape, seed=3):
    """Return the log-SNRs and the noise of one loss."""
    seed = keras.random.SeedGenerator(seed)
    log_snr = to_numpy(factor.levels.draw(shape[0], seed))
    return log_snr, to_numpy(keras.random.normal(shape, seed=seed))


@pytest.mark.parametrize("training", [True, False])
def test_a_network_that_says_nothing_pays_the_square_of_the_velocity(training):
    factor, target = zero(), wave((8, 4, 4, 2))
    found, ratio = loss(factor, target, training=training)
    log_snr, noise = drawn(factor, target.shape)
    log_snr = log_snr[:, None, None, None]
    alpha = np.sqrt(1 / (1 + np.exp(-log_snr)))
    sigma = np.sqrt(1 / (1 + np.exp(log_snr)))
    v = alpha * noise - sigma * target
    np.testing.assert_allclose(found, (v**2).mean(), 1e-4)
    guess = alpha * (alpha * target + sigma * noise)
    expected = (guess**2).mean() / (guess * target).mean()
    np.testing.assert_allclose(ratio, expected, 1e-3)


@pytest.mark.parametrize("std", [0.5, 1.0, 2.0])
def test_the_exact_denoiser_has_the_datas_standard_deviation(std):
    rng = np.random.default_rng(0)
    target = std * rng.standard_normal((64, 16, 16, 2)).astype("float32")
    factor = gaussian(std)
    best, ratio = loss(factor, target)
    assert abs(ratio - 1) < 0.03
    wrong, off = loss(gaussian(3 * std), target)
    assert wrong > 1.01 * best and off > 1.06


def test_log_snrs_have_the_stated_law():
    factor = tiny.diffusion(log_snr_mean=-0.7, log_snr_std=1.6)
    seed = keras.random.SeedGenerator(0)
    batches = [to_numpy(factor.levels.draw(64, seed)) for _ in range(20)]
    values = np.stack(batches)
    np.testing.assert_allclose(values.mean(axis=1), -0.7, 0, 0.15)
    np.testing.assert_allclose(values.std(axis=1), 1.6, 0.1)
    # A normal law has a fourth moment of 3.
    z = (values - values.mean()) / values.std()
    np.testing.assert_allclose((z**4).mean(), 3, 0.1)
    # Every batch is spread evenly: one value in each of its quantiles.
    uniform = np.array([normal_cdf(x) for x in (values.ravel() + 0.7) / 1.6])
    places = np.sort(np.floor(uniform.reshape(values.shape) * 64), axis=1)
    assert np.mean(places == np.arange(64)) > 0.97
    assert len(np.unique(values[:, 0])) == 20


def normal_cdf(x):
    return (1 + math.erf(x / 2**0.5)) / 2


def test_log_snrs_have_the_documented_defaults():
    factor = tiny.diffusion()
    values = to_numpy(factor.levels.draw(4096, keras.random.SeedGenerator(0)))
    np.testing.assert_allclose([values.mean(), values.std()], [1, 2.4], 1e-2)


def test_a_condition_is_noisy_only_in_training():
    factor = tiny.diffusion(2, condition=1, condition_noise=0.9)
    fill(factor.network)
    target, condition = wave((8, 4, 4, 2)), wave((8, 4, 4, 1), 1)
    plain = tiny.diffusion(2, condition=1)
    plain.network.set_weights(factor.network.get_weights())
    condition = ops.convert_to_tensor(condition)
    found = loss(factor, target, condition, training=False)
    assert found == loss(plain, target, condition, training=False)
    noisy = loss(factor, target, condition, training=True)
    assert abs(noisy[0] - found[0]) > 1e-3


@pytest.mark.parametrize("name", diffusion.SAMPLERS)
@pytest.mark.parametrize("std", [0.6, 1.7])
def test_samples_have_the_datas_standard_deviation(name, std):
    factor = gaussian(std)
    shape = (16, 8, 8, 2)
    rng = np.random.default_rng(1)
    noise = {}
    for key, one in factor.noise_shapes(shape[1:], 40, name).items():
        noise[key] = ops.convert_to_tensor(
            rng.standard_normal((16, *one)).astype("float32")
        )
    assert ("steps" in noise) == diffusion.SAMPLERS[name].stochastic
    found = to_numpy(factor.sample(noise, num_steps=40, sampler=name))
    assert found.shape == shape
    # Its variance is the least that can be right (for a single point).
    tolerance = 0.15 if name == "ddpm_fixed_small" else 0.06
    np.testing.assert_allclose(found.std(), std, tolerance)
    # Whatever the sampler, the picture keeps to where it started.
    if "steps" not in noise:
        start = to_numpy(noise["start"])
        assert np.corrcoef(found.ravel(), start.ravel())[0, 1] > 0.99


def test_the_spread_of_gaussian_samples_goes_with_the_temperature():
    factor, start = gaussian(0.6), ops.convert_to_tensor(wave((4, 4, 4, 2)))
    spreads = []
    for factor.temperature in (1.0, 1.25):
        found = factor.sample({"start": start}, num_steps=8)
        spreads.append(to_numpy(found).std())
    assert spreads[1] / spreads[0] == pytest.approx(1.25, 1e-4)


def test_the_grid_is_the_factors():
    def grid(**kwargs):
        return tiny.diffusion(**kwargs).times(4)

    np.testing.assert_allclose(
        grid(grid="uniform", t_max=4.0), [4, 3, 2, 1, 0], 1e-6
    )
    np.testing.assert_allclose(
        grid(grid="quadratic", t_max=4.0), [4, 2.25, 1, 0.25, 0], 1e-6
    )
    expected = diffusion.log_snr_grid(4, 3.0, 0.01)
    np.testing.assert_allclose(grid(t_max=3.0, t_min=0.01), expected)
    expected = diffusion.karras_grid(4, 3.0, 0.01)
    ends = {"t_max": 3.0, "t_min": 0.01}
    np.testing.assert_allclose(grid(grid="karras", **ends), expected)


def test_configuration_comes_back():
    kwargs = {
        "log_snr_mean": -1.0,
        "log_snr_std": 2.0,
        "grid": "quadratic",
        "t_max": 4.0,
        "t_min": 0.002,
        "condition_noise": 0.2,
        "temperature": 1.03,
        "name": "mine",
    }
    factor = tiny.diffusion(condition=1, **kwargs)
    config = keras.saving.serialize_keras_object(factor)
    twin = keras.saving.deserialize_keras_object(config)
    found = twin.get_config()
    assert {key: found[key] for key in kwargs} == kwargs
    assert list(twin.network.input) == list(factor.network.input)
    assert factor.calls(7) == 7 and factor.takes_steps


class Repeats(keras.layers.Layer):
    """A velocity that is the log-SNR, as the network was told it."""

    def call(self, x, log_snr):
        return 0 * x + ops.reshape(log_snr, (-1, 1, 1, 1))


def test_a_network_is_told_only_what_it_often_meets(monkeypatch):
    x = keras.Input((None, None, 2), name="x")
    log_snr = keras.Input((), name="log_snr")
    network = keras.Model({"x": x, "log_snr": log_snr}, Repeats()(x, log_snr))
    factor = factors.DiffusionFactor(network, log_snr_mean=1, log_snr_std=2.0)
    # At log-SNR -10 all but nothing of x_0 is left: D = -v.
    noise = {"start": ops.zeros((1, 4, 4, 2))}
    drawn = to_numpy(factor.sample(noise, num_steps=1))
    np.testing.assert_allclose(drawn, 5.0, rtol=1e-3)
    # At 15 the velocity is the noise, and its error (7 - n)^2.
    levels = ops.full((64,), 15.0)
    monkeypatch.setattr(NoiseLevels, "draw", lambda *_: levels)
    target = ops.zeros((64, 8, 8, 2))
    seed = keras.random.SeedGenerator(0)
    loss = factor.loss(target, seed=seed).losses["draw"]
    assert abs(float(loss) - 50) < 0.6
