"""Gaussian fields, whose diffusion is known in closed form.

In a basis of eigenvectors of the covariance every mode is on its own, the
denoiser multiplies it by a number, and so does a sampler: it is followed
exactly, without drawing anything.
"""

import numpy as np
from keras import ops


def spectrum(size, eta=2.0):
    """Return the variances of a field with spectrum |frequency|^-eta.

    The field is periodic, size x size, flat below the lowest frequency, and
    of unit variance per pixel.
    """
    frequency = 2 * np.pi * np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, None], frequency[None])
    variance = 1 / ((2 * np.pi / size) ** eta + radius**eta)
    return (variance / variance.mean()).ravel()


def denoiser(variance):
    """Return E[x_0 | x_t] for modes of these variances."""
    variance = ops.convert_to_tensor(variance, "float32")

    def denoise(x, log_snr):
        alpha = ops.sqrt(ops.sigmoid(log_snr))
        total = alpha**2 * variance + ops.sigmoid(-log_snr)
        return alpha * variance / total * x

    return denoise


def sources(num_steps, num_modes):
    """Return the start and the noise that show each source by itself.

    Row 0 of the batch starts at 1, row n + 1 is fed by the noise of step n.
    """
    x = np.zeros((num_steps + 1, num_modes))
    noise = np.zeros((num_steps, num_steps + 1, num_modes))
    x[0] = 1
    for n in range(num_steps):
        noise[n, n + 1] = 1
    return x, noise


def propagate(sampler, grid, variance):
    """Return each source's gain, by the sampler's coefficients in float64."""
    grid = np.asarray(grid, "float64")
    table = np.stack(sampler.coefficients(grid[:-1], grid[1:]), axis=1)
    x, noise = sources(len(table), len(variance))
    previous = np.zeros_like(x)
    for t, z, (a, b, c, d) in zip(grid[:-1], noise, table, strict=True):
        total = np.exp(-2 * t) * variance - np.expm1(-2 * t)
        guess = np.exp(-t) * variance / total * x
        x = a * x + b * guess + c * previous + d * z
        previous = guess
    return x


def sampled_variance(sampler, grid, variance):
    """Return the variances of what a sampler makes of unit noise."""
    return (propagate(sampler, grid, variance) ** 2).sum(axis=0)


def wasserstein(sampled, variance):
    """Return the squared Wasserstein-2 distance per dimension."""
    return np.mean((np.sqrt(sampled) - np.sqrt(variance)) ** 2)


def divergence(sampled, variance):
    """Return the Kullback-Leibler divergence KL(truth || sampled), ditto."""
    ratio = variance / sampled
    return np.mean(ratio - 1 - np.log(ratio)) / 2
