"""Samplers: from noise to data in a few calls of a denoiser.

Every sampler here is linear,

    x_s = a x_t + b D_t + c D_{previous} + d z

with D_t the denoiser's estimate of the clean data at time t, D_previous the
estimate of the previous step, and z fresh noise. A sampler differs from others
in its coefficients only, and they share one loop. To add one, write a function
from a grid to `(a, b, c, d)` with the sampler's name in its paper.

    x_0 = ddim(denoiser, x_T, grid)
    x_0 = euler_maruyama(denoiser, x_T, grid, noise)

- `denoiser(x, log_snr)`: the expectation of the clean data, given `x` of
  shape `(batch, ...)` and a scalar log-SNR.
- `x_T`: standard normal noise, `(batch, ...)`.
- `grid`: times falling from T to 0, of length N + 1 (see `grids.py`).
- `noise`: for stochastic samplers, `(N, batch, ...)`. A step that ends at
  t = 0 adds none (WMGM, Algorithm 2).
"""

import functools
from collections.abc import Callable

import numpy as np
from keras import ops

from keras_wmgm.diffusion.process import log_snr_at
from keras_wmgm.types import Tensor

SAMPLERS: dict[str, Callable] = {}
"""The samplers by name; those with a true `stochastic` need noise."""


def sampler(stochastic: bool) -> Callable:
    """Turn a function from a grid to coefficients into a sampler."""

    def decorate(coefficients):
        @functools.wraps(coefficients)
        def sample(
            denoiser: Callable[[Tensor, Tensor], Tensor],
            x: Tensor,
            grid: np.ndarray,
            noise: Tensor | None = None,
        ) -> Tensor:
            grid = _check_grid(grid)
            if stochastic:
                _check_noise(coefficients.__name__, noise, x, len(grid) - 1)
            table = coefficients(grid[:-1], grid[1:])
            noise = noise if stochastic else None
            return _integrate(denoiser, x, grid, table, noise)

        del sample.__wrapped__  # the signature is another
        sample.coefficients = coefficients
        sample.stochastic = stochastic
        SAMPLERS[coefficients.__name__] = sample
        return sample

    return decorate


def _check_grid(grid):
    grid = np.asarray(grid, "float64")
    if grid.ndim != 1 or len(grid) < 2 or not np.all(np.diff(grid) < 0):
        raise ValueError(
            "A grid must be a falling sequence of two or more times. "
            f"Received: grid={grid!r}"
        )
    if grid[-1] < 0 or not np.isfinite(grid[0]):
        raise ValueError(
            "The times of a grid must be finite and not negative. "
            f"Received: grid={grid!r}"
        )
    return grid


def _check_noise(name, noise, x, num_steps):
    """Refuse noise that is not one array like `x` for every step."""
    shape = None if noise is None else tuple(noise.shape)
    wanted = (num_steps, *x.shape)
    if (
        shape is None
        or len(shape) != len(wanted)
        or any(
            isinstance(a, int) and isinstance(b, int) and a != b
            for a, b in zip(shape, wanted, strict=True)
        )
    ):
        got = "noise=None" if shape is None else f"shape={shape}"
        raise ValueError(
            f"{name} needs noise of shape {wanted}. Received: {got}"
        )


def _integrate(denoiser, x, grid, table, noise):
    """Run `x <- a x + b D + c D_previous + d z` along the grid."""
    table = ops.convert_to_tensor(np.stack(table, axis=1), "float32")
    levels = ops.convert_to_tensor(log_snr_at(grid[:-1]), "float32")
    x = ops.cast(x, "float32")

    def step(n, carry):
        x, previous = carry
        a, b, c, d = ops.unstack(ops.take(table, n, axis=0), 4)
        guess = ops.cast(denoiser(x, ops.take(levels, n)), "float32")
        x = a * x + b * guess + c * previous
        if noise is not None:
            x = x + d * ops.cast(ops.take(noise, n, axis=0), "float32")
        return x, guess

    return ops.fori_loop(0, len(grid) - 1, step, (x, ops.zeros_like(x)))[0]


def _alpha(t):
    return np.exp(-t)


def _sigma(t):
    return np.sqrt(-np.expm1(-2 * t))


def _unless_last(s, d):
    """Return `d`, with 0 for a step that ends at t = 0."""
    return np.where(s > 0, d, 0.0)


@sampler(stochastic=True)
def euler_maruyama(t, s):
    """Euler-Maruyama on the reverse SDE (WMGM, Eq. 3 and 20)."""
    step = t - s
    a = 1 + step - 2 * step / _sigma(t) ** 2
    b = 2 * step * _alpha(t) / _sigma(t) ** 2
    return a, b, 0 * t, _unless_last(s, np.sqrt(2 * step))


def _ancestral(t, s):
    """Return mean coefficients and variances of q(x_s | x_t, x_0)."""
    beta = -np.expm1(-2 * (t - s))
    a = np.sqrt(1 - beta) * _sigma(s) ** 2 / _sigma(t) ** 2
    b = _alpha(s) * beta / _sigma(t) ** 2
    return a, b, beta, beta * _sigma(s) ** 2 / _sigma(t) ** 2


@sampler(stochastic=True)
def ddpm_fixed_large(t, s):
    """DDPM's ancestral sampler with variance beta (Ho et al., section 3.2).

    [arXiv:2006.11239](https://arxiv.org/abs/2006.11239). WSGM uses it.
    """
    a, b, beta, _ = _ancestral(t, s)
    return a, b, 0 * t, _unless_last(s, np.sqrt(beta))


@sampler(stochastic=True)
def ddpm_fixed_small(t, s):
    """DDPM's ancestral sampler with the posterior's variance.

    [arXiv:2006.11239](https://arxiv.org/abs/2006.11239), section 3.2.
    """
    a, b, _, variance = _ancestral(t, s)
    return a, b, 0 * t, np.sqrt(variance)


@sampler(stochastic=False)
def ddim(t, s):
    """DDIM without noise (Song et al., Eq. 12 with sigma = 0).

    [arXiv:2010.02502](https://arxiv.org/abs/2010.02502).
    """
    a = _sigma(s) / _sigma(t)
    return a, _alpha(s) - _alpha(t) * a, 0 * t, 0 * t


@sampler(stochastic=False)
def dpm_solver_2m(t, s):
    """DPM-Solver++(2M), multistep, second order (Lu et al., Algorithm 2).

    [arXiv:2211.01095](https://arxiv.org/abs/2211.01095). The first step, and
    one that ends at t = 0, are of first order, as in DDIM.
    """
    a, b, c, d = ddim.coefficients(t, s)
    half_log_snr = np.append(log_snr_at(t) / 2, np.inf)
    if s[-1] > 0:
        half_log_snr[-1] = log_snr_at(s[-1]) / 2
    step = np.diff(half_log_snr)
    extrapolate = np.zeros_like(t)
    extrapolate[1:] = step[1:] / step[:-1] / 2
    extrapolate[np.isinf(extrapolate)] = 0.0
    return a, b * (1 + extrapolate), -b * extrapolate, d
