import inspect

import keras
import numpy as np
import pytest
from keras import ops

from keras_wmgm import diffusion
from keras_wmgm.diffusion import GRIDS
from keras_wmgm.diffusion import SAMPLERS
from tests.diffusion.gaussian import denoiser
from tests.diffusion.gaussian import divergence
from tests.diffusion.gaussian import propagate
from tests.diffusion.gaussian import sampled_variance
from tests.diffusion.gaussian import sources
from tests.diffusion.gaussian import spectrum
from tests.diffusion.gaussian import wasserstein
from tests.helpers import to_numpy
from tests.helpers import wave

VARIANCE = spectrum(32)
ENDS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
STOCHASTIC = [name for name in SAMPLERS if SAMPLERS[name].stochastic]
TINY = 1e-12


def to_tiny(grid):
    """End a grid just above 0, so that the last step adds its noise."""
    return np.append(grid[:-1], TINY)


def test_spectrum_is_the_one_meant():
    np.testing.assert_allclose(VARIANCE.max() / VARIANCE.min(), 513)
    np.testing.assert_allclose(VARIANCE.mean(), 1)


def test_samplers_are_told_apart_by_their_need_of_noise():
    assert set(STOCHASTIC) == {
        "euler_maruyama",
        "ddpm_fixed_large",
        "ddpm_fixed_small",
    }
    assert set(SAMPLERS) - set(STOCHASTIC) == {"ddim", "dpm_solver_2m"}


@pytest.mark.parametrize("grid", [GRIDS["log_snr"](5), [2.0, 0.7, 0.5, 0.1]])
@pytest.mark.parametrize("name", SAMPLERS)
def test_sampler_is_its_coefficients(name, grid):
    sampler, variance = SAMPLERS[name], VARIANCE[::100]
    x, noise = sources(len(grid) - 1, len(variance))
    noise = noise if sampler.stochastic else None
    y = to_numpy(sampler(denoiser(variance), x, grid, noise))
    expected = propagate(sampler, grid, variance)
    np.testing.assert_allclose(y, expected, 1e-4, 1e-5)


@pytest.mark.parametrize("name", SAMPLERS)
def test_many_steps_reach_the_data(name):
    grid, variance = GRIDS["quadratic"](300), np.unique(VARIANCE)
    sampled = sampled_variance(SAMPLERS[name], grid, variance)
    np.testing.assert_allclose(sampled, variance, 0.1)


def error(name, grid, num_steps):
    """Return the smallest distance over the ends T and t_min."""
    sampler, make = SAMPLERS[name], GRIDS[grid]
    grids = [make(num_steps, t_max) for t_max in ENDS]
    if name == "euler_maruyama":
        grids = [to_tiny(grid) for grid in grids]
    if grid == "log_snr":
        last = (1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2)
        grids = [make(num_steps, t_max, t) for t_max in ENDS for t in last]
    return min(
        wasserstein(sampled_variance(sampler, grid, VARIANCE), VARIANCE)
        for grid in grids
    )


@pytest.mark.parametrize(
    "name, grid, errors",
    [
        ("euler_maruyama", "uniform", (0.054, 0.020)),
        ("euler_maruyama", "quadratic", (0.025, 0.008)),
        ("ddpm_fixed_large", "quadratic", (0.015, 0.005)),
        ("ddim", "quadratic", (0.030, 0.009)),
    ],
)
def test_error_is_the_known_one(name, grid, errors):
    found = [error(name, grid, num_steps) for num_steps in (8, 16)]
    # Half a unit of the last digit known.
    np.testing.assert_allclose(found, errors, 0, 5e-4)


@pytest.mark.parametrize("num_steps", [4, 8, 16])
def test_order_of_the_samplers(num_steps):
    def of(name, grid="quadratic"):
        return error(name, grid, num_steps)

    large = of("ddpm_fixed_large")
    assert of("dpm_solver_2m", "log_snr") < large / 2
    assert large < of("ddim")
    assert large < of("euler_maruyama")
    assert large < of("ddpm_fixed_small") / 2
    assert of("euler_maruyama") < of("euler_maruyama", "uniform")
    assert of("ddpm_fixed_large") < of("ddpm_fixed_large", "uniform") / 2


def test_default_grid_is_fine_for_dpm_solver_in_eight_steps():
    grid = diffusion.log_snr_grid(8)
    sampled = sampled_variance(SAMPLERS["dpm_solver_2m"], grid, VARIANCE)
    assert wasserstein(sampled, VARIANCE) < 1e-3


@pytest.mark.parametrize("name, order", [("ddim", 1), ("dpm_solver_2m", 2)])
def test_order_of_convergence(name, order):
    # From t = 2 to t = 1/2 the solution for a variance of 4 is smooth: the
    # flow keeps x / std(x_t).
    variance, ends = np.array([4.0]), diffusion.log_snr_at([2.0, 0.5])
    start, end = (np.exp(-2 * t) * 3 + 1 for t in (2.0, 0.5))
    errors = []
    for num_steps in (16, 32, 64):
        grid = diffusion.time_at(np.linspace(*ends, num_steps + 1))
        gain = propagate(SAMPLERS[name], grid, variance)[0, 0]
        errors.append(abs(gain - np.sqrt(end / start)))
    np.testing.assert_allclose(-np.diff(np.log2(errors)), order, 0, 0.15)


@pytest.mark.parametrize("grid", ["uniform", "quadratic"])
def test_euler_maruyama_is_the_recursion_of_variances(grid):
    grid = to_tiny(GRIDS[grid](12, 3.0))
    v = np.ones_like(VARIANCE)
    for t, step in zip(grid, -np.diff(grid), strict=False):
        total = np.exp(-2 * t) * VARIANCE + 1 - np.exp(-2 * t)
        v = (1 + step - 2 * step / total) ** 2 * v + 2 * step
    sampled = sampled_variance(SAMPLERS["euler_maruyama"], grid, VARIANCE)
    np.testing.assert_allclose(sampled, v, 1e-6)


@pytest.mark.parametrize(
    "grid, num_steps, known",
    [
        ("uniform", 4, 0.737),
        ("uniform", 16, 0.213),
        ("uniform", 64, 0.032),
        ("quadratic", 16, 0.021),
    ],
)
def test_euler_maruyama_has_the_known_divergence(grid, num_steps, known):
    grid, variance = to_tiny(GRIDS[grid](num_steps)), spectrum(128)
    sampled = sampled_variance(SAMPLERS["euler_maruyama"], grid, variance)
    np.testing.assert_allclose(divergence(sampled, variance), known, 0.02)


@pytest.mark.parametrize(
    "size, grid, known",
    [(8, "uniform", 10), (16, "uniform", 16), (16, "quadratic", 10)],
)
def test_euler_maruyama_needs_the_known_number_of_steps(size, grid, known):
    variance, sampler = spectrum(size), SAMPLERS["euler_maruyama"]

    def best(num_steps):
        grids = [to_tiny(GRIDS[grid](num_steps, t_max)) for t_max in ENDS]
        return min(
            divergence(sampled_variance(sampler, g, variance), variance)
            for g in grids
        )

    # The step numbers tried are 2^(i / 4), rounded.
    before = round(known / 2**0.25)
    assert best(known) <= 0.01 < best(before)


@pytest.mark.parametrize("name", ["euler_maruyama", "ddpm_fixed_large"])
def test_segments_of_a_grid_are_the_grid(name):
    sampler, model = SAMPLERS[name], denoiser(VARIANCE[:6])
    x, noise, grid = wave((2, 6)), wave((5, 2, 6)), GRIDS["quadratic"](5, 2.0)
    whole = to_numpy(sampler(model, x, grid, noise))
    half = sampler(model, x, grid[:3], noise[:2])
    y = to_numpy(sampler(model, half, grid[2:], noise[2:]))
    np.testing.assert_allclose(y, whole, 0, 1e-6)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_step_to_zero_adds_no_noise_and_others_do(name):
    _, _, _, noise = SAMPLERS[name].coefficients(
        np.array([2.0, 1.0]), np.array([1.0, 0.0])
    )
    assert noise[0] > 0 and noise[1] == 0


@pytest.mark.parametrize("name", STOCHASTIC)
def test_missing_noise_is_refused(name):
    text = rf"{name} needs noise of shape \(3, 2, 6\). Received: noise=None"
    with pytest.raises(ValueError, match=text):
        SAMPLERS[name](
            denoiser(VARIANCE[:6]), wave((2, 6)), GRIDS["uniform"](3)
        )


@pytest.mark.parametrize("shape", [(2, 2, 6), (4, 2, 6), (3, 1, 6)])
def test_noise_of_another_shape_is_refused(shape):
    model, grid = denoiser(VARIANCE[:6]), GRIDS["uniform"](3)
    with pytest.raises(ValueError, match="needs noise of shape"):
        SAMPLERS["euler_maruyama"](model, wave((2, 6)), grid, wave(shape))


class Sample(keras.Model):
    """A sampler as a model: what `predict` compiles."""

    def __init__(self, name, grid):
        super().__init__()
        self.sampler, self.grid = SAMPLERS[name], grid

    def call(self, inputs):
        noise = ops.transpose(inputs["noise"], (1, 0, 2))
        model = denoiser(VARIANCE[:6])
        return self.sampler(model, inputs["x"], self.grid, noise)


@pytest.mark.parametrize("name", ["ddpm_fixed_large", "dpm_solver_2m"])
def test_compiled_sampler_is_the_eager_one(name):
    model = Sample(name, GRIDS["log_snr"](4))
    inputs = {"x": wave((3, 6)), "noise": wave((3, 4, 6))}
    compiled = model.predict(inputs, batch_size=2, verbose=0)
    np.testing.assert_allclose(compiled, to_numpy(model(inputs)), 0, 1e-5)


def test_a_sampler_of_ones_own_is_used_like_the_others():
    @diffusion.sampler(stochastic=False)
    def jump(t, s):
        return 0 * t, 0 * t + 1, 0 * t, 0 * t

    try:
        assert SAMPLERS["jump"] is jump and not jump.stochastic
        y = to_numpy(jump(lambda x, log_snr: 3 * x, wave((2, 6)), [2.0, 1.0]))
        np.testing.assert_allclose(y, 3 * wave((2, 6)), 1e-6)
    finally:
        del SAMPLERS["jump"]


def test_samplers_have_the_documented_signature():
    for sampler in SAMPLERS.values():
        names = list(inspect.signature(sampler).parameters)
        assert names == ["denoiser", "x", "grid", "noise"]
