"""The Ornstein-Uhlenbeck process, which is variance preserving.

    dX = -X dt + sqrt(2) dB      x_t = alpha x_0 + sigma eps
    alpha = exp(-t)              sigma = sqrt(1 - exp(-2 t))

for data of unit standard deviation (WMGM Eq. 1 with g = 1, Eq. 12; Song et
al., [arXiv:2011.13456](https://arxiv.org/abs/2011.13456), the VP process).
Networks and losses take the noise level as `log_snr = log(alpha^2 / sigma^2)`,
grids as the time t. `alpha^2 = sigmoid(log_snr)`, and
`sigma^2 = sigmoid(-log_snr)`.

A score network predicts the velocity `v = alpha eps - sigma x_0` (Salimans and
Ho, [arXiv:2202.00512](https://arxiv.org/abs/2202.00512), Appendix D). For data
of unit standard deviation this is EDM's preconditioning: `v` has unit variance
at every noise level, and `alpha x - sigma v` weights skip and network like
`c_skip` and `c_out`.
"""

import keras
import numpy as np
from keras import ops

from keras_wmgm.types import Tensor


def log_snr_at(t: np.ndarray | float) -> np.ndarray:
    """Return `log(alpha^2 / sigma^2)` at the times t > 0, in float64."""
    t = np.asarray(t, "float64")
    return -2 * t - np.log(-np.expm1(-2 * t))


def time_at(log_snr: np.ndarray | float) -> np.ndarray:
    """Return the time at which the process has this log-SNR, in float64."""
    return np.logaddexp(0, -np.asarray(log_snr, "float64")) / 2


def alpha(log_snr: Tensor) -> Tensor:
    """Return the scale of the data at this log-SNR."""
    return ops.sqrt(ops.sigmoid(log_snr))


def sigma(log_snr: Tensor) -> Tensor:
    """Return the standard deviation of the noise at this log-SNR."""
    return ops.sqrt(ops.sigmoid(-log_snr))


def diffuse(x_0: Tensor, noise: Tensor, log_snr: Tensor) -> Tensor:
    """Return `x_t = alpha x_0 + sigma eps`.

    Args:
        x_0: Clean data, `(batch, ...)`.
        noise: Standard normal noise of the same shape.
        log_snr: The noise levels, `(batch,)`.
    """
    log_snr = expand_like(log_snr, x_0)
    return alpha(log_snr) * x_0 + sigma(log_snr) * noise


def velocity(x_0: Tensor, noise: Tensor, log_snr: Tensor) -> Tensor:
    """Return `v = alpha eps - sigma x_0`, what a score network predicts."""
    log_snr = expand_like(log_snr, x_0)
    return alpha(log_snr) * noise - sigma(log_snr) * x_0


def denoised(x_t: Tensor, v: Tensor, log_snr: Tensor) -> Tensor:
    """Return the clean data that a velocity predicts: `alpha x_t - sigma v`."""
    log_snr = expand_like(log_snr, x_t)
    return alpha(log_snr) * x_t - sigma(log_snr) * v


def score(x_t: Tensor, x_0: Tensor, log_snr: Tensor) -> Tensor:
    """Return the score `(alpha x_0 - x_t) / sigma^2` (Tweedie's formula)."""
    log_snr = expand_like(log_snr, x_t)
    return (alpha(log_snr) * x_0 - x_t) / ops.sigmoid(-log_snr)


def expand_like(values: Tensor, x: Tensor) -> Tensor:
    """Reshape `(batch,)` values so that they broadcast against `x`."""
    values = ops.cast(values, keras.backend.standardize_dtype(x.dtype))
    return ops.reshape(values, (-1,) + (1,) * (len(x.shape) - 1))
