import numpy as np
import pytest
from keras import ops

from keras_wmgm import diffusion
from keras_wmgm.diffusion import process
from tests.helpers import to_numpy
from tests.helpers import wave

LEVELS = np.array([-12.0, -1.0, 0.0, 3.0, 7.0], "float32")
X, NOISE = wave((5, 4, 2, 3)), wave((5, 4, 2, 3), 1)


def call(function, *arrays):
    """Call a function of tensors with arrays."""
    return to_numpy(function(*map(ops.convert_to_tensor, arrays)))


def test_variance_is_preserved():
    levels = np.linspace(-30, 30, 61, dtype="float32")
    alpha, sigma = process.alpha(levels), process.sigma(levels)
    total = to_numpy(alpha) ** 2 + to_numpy(sigma) ** 2
    np.testing.assert_allclose(total, 1, 0, 1e-6)
    ratio = 2 * np.log(to_numpy(alpha) / to_numpy(sigma))
    np.testing.assert_allclose(ratio, levels, 1e-5, 1e-5)


@pytest.mark.parametrize("t", [1e-8, 1e-3, 0.3, 5.0, 300.0])
def test_time_and_level_are_inverse(t):
    level = diffusion.log_snr_at(t)
    np.testing.assert_allclose(diffusion.time_at(level), t, 1e-12)


def test_level_is_that_of_the_ornstein_uhlenbeck_process():
    t = np.array([0.01, 0.5, 2.0])
    expected = np.log(np.exp(-2 * t) / (1 - np.exp(-2 * t)))
    np.testing.assert_allclose(diffusion.log_snr_at(t), expected, 1e-12)
    assert diffusion.log_snr_at(t).dtype == "float64"


def test_diffuse_is_the_formula():
    t = np.array([1e-3, 0.1, 0.5, 2.0, 5.0])
    alpha = np.exp(-t)[:, None, None, None]
    expected = alpha * X + np.sqrt(1 - alpha**2) * NOISE
    levels = diffusion.log_snr_at(t).astype("float32")
    x_t = call(diffusion.diffuse, X, NOISE, levels)
    np.testing.assert_allclose(x_t, expected, 0, 1e-6)


def test_the_velocity_gives_the_data_back():
    x_t = call(diffusion.diffuse, X, NOISE, LEVELS)
    v = call(diffusion.velocity, X, NOISE, LEVELS)
    x_0 = call(diffusion.denoised, x_t, v, LEVELS)
    np.testing.assert_allclose(x_0, X, 0, 1e-6)


def test_the_score_of_one_point_is_minus_its_noise():
    levels = np.array([-12.0, -3.0, -1.0, 0.0, 2.0], "float32")
    x_t = call(diffusion.diffuse, X, NOISE, levels)
    score = call(diffusion.score, x_t, X, levels)
    sigma = np.sqrt(1 / (1 + np.exp(levels)))[:, None, None, None]
    np.testing.assert_allclose(score, -NOISE / sigma, 0, 1e-5)


def test_the_score_of_a_gaussian():
    t = np.array([0.05, 0.4, 1.0, 2.0, 5.0])
    levels = diffusion.log_snr_at(t).astype("float32")
    t, variance = t[:, None, None, None], 4.0
    total = np.exp(-2 * t) * variance + 1 - np.exp(-2 * t)
    guess = (np.exp(-t) * variance / total * X).astype("float32")
    score = call(diffusion.score, X, guess, levels)
    np.testing.assert_allclose(score, -X / total, 0, 1e-5)


@pytest.mark.parametrize(
    "function", [diffusion.diffuse, diffusion.velocity, diffusion.denoised]
)
def test_levels_may_be_as_log_snr_at_gives_them(function):
    levels = diffusion.log_snr_at([0.1, 0.2, 0.5, 1.0, 5.0])
    expected = call(function, X, NOISE, levels.astype("float32"))
    x, noise = ops.convert_to_tensor(X), ops.convert_to_tensor(NOISE)
    y = to_numpy(function(x, noise, levels))
    np.testing.assert_allclose(y, expected, 0, 1e-6)
