"""Grids of times for the samplers.

Each is a function `(num_steps, t_max=..., ...)` that returns `num_steps + 1`
times in float64, falling from `t_max` to 0. A sampler calls the network once
for each of them except the last.
"""

import numpy as np

from keras_wmgm.diffusion.process import log_snr_at
from keras_wmgm.diffusion.process import time_at
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.checks import check_number

T_MAX = 5.0
"""The usual end of the process, where alpha is 0.0067 (WSGM's choice)."""

T_MIN = 1e-3
"""The usual last time at which a network is called; sigma is 0.045 there."""


def uniform_grid(num_steps: int, t_max: float = T_MAX) -> np.ndarray:
    """Return evenly spaced times (WMGM Eq. 3 and 20)."""
    _check(num_steps, 0.0, t_max)
    return t_max * _falling(num_steps)


def quadratic_grid(num_steps: int, t_max: float = T_MAX) -> np.ndarray:
    """Return times whose square roots are evenly spaced.

    Reference:
        Guth et al., "Wavelet Score-Based Generative Modeling"
        ([arXiv:2208.05003](https://arxiv.org/abs/2208.05003)), which draws
        its training times from this distribution.
    """
    _check(num_steps, 0.0, t_max)
    return t_max * _falling(num_steps) ** 2


def log_snr_grid(
    num_steps: int, t_max: float = T_MAX, t_min: float = T_MIN
) -> np.ndarray:
    """Return times evenly spaced in log-SNR down to `t_min`, and 0.

    Reference:
        Lu et al., "DPM-Solver++"
        ([arXiv:2211.01095](https://arxiv.org/abs/2211.01095)), the uniform
        log-SNR steps.
    """
    _check(num_steps, t_min, t_max, above=True)
    levels = np.linspace(log_snr_at(t_max), log_snr_at(t_min), num_steps)
    return np.append(time_at(levels), 0.0)


def karras_grid(
    num_steps: int,
    t_max: float = T_MAX,
    t_min: float = T_MIN,
    rho: float = 7.0,
) -> np.ndarray:
    """Return times evenly spaced in `(sigma / alpha)^(1 / rho)`, and 0.

    They run from `t_max` to `t_min`. The larger rho, the more evenly spaced
    are their log-SNRs.

    Reference:
        Karras et al., "Elucidating the Design Space of Diffusion-Based
        Generative Models", Eq. 5
        ([arXiv:2206.00364](https://arxiv.org/abs/2206.00364)).
    """
    _check(num_steps, t_min, t_max, above=True)
    check_number("rho", rho, low=0, above=True)
    ends = np.exp(-log_snr_at([t_max, t_min]) / 2 / rho)
    levels = -2 * rho * np.log(np.linspace(*ends, num_steps))
    return np.append(time_at(levels), 0.0)


GRIDS = {
    "uniform": uniform_grid,
    "quadratic": quadratic_grid,
    "log_snr": log_snr_grid,
    "karras": karras_grid,
}
"""The grids by name."""

WITH_END = ("log_snr", "karras")
"""The grids that take `t_min`, the last time of a network call."""


def _falling(num_steps):
    return np.arange(num_steps, -1, -1) / num_steps


def _check(num_steps, t_min, t_max, above=False):
    check_count("num_steps", num_steps)
    if not 0 <= t_min < t_max < np.inf or (above and not t_min):
        raise ValueError(
            f"A grid needs 0 {'<' if above else '<='} t_min < t_max. "
            f"Received: t_min={t_min}, t_max={t_max}"
        )
