"""A change of basis changes nothing, as long as no band is rescaled."""

import numpy as np
import pytest
from keras import ops

from keras_wmgm import diffusion
from keras_wmgm.layers import HaarDWT2D
from tests.diffusion.gaussian import spectrum
from tests.helpers import to_numpy
from tests.helpers import wave

SIZE = 8


def wavelet_basis(levels):
    """Return the matrix A of the multi-level transform of 8x8 fields."""
    low = np.eye(SIZE**2).reshape(SIZE**2, SIZE, SIZE, 1)
    rows = []
    for _ in range(levels):
        low, details = HaarDWT2D()(low)
        rows.append(to_numpy(details).reshape(SIZE**2, -1))
    rows.append(to_numpy(low).reshape(SIZE**2, -1))
    return np.concatenate(rows, axis=1).T


def covariance():
    """Return the covariance of a stationary Gaussian field."""
    variance = spectrum(SIZE).reshape(SIZE, SIZE)
    columns = np.eye(SIZE**2).reshape(-1, SIZE, SIZE)
    fields = np.fft.ifft2(variance * np.fft.fft2(columns)).real
    return fields.reshape(SIZE**2, SIZE**2)


def denoiser(matrix):
    """Return E[x_0 | x_t] for a Gaussian of this covariance."""
    values, vectors = (
        ops.convert_to_tensor(a, "float32") for a in np.linalg.eigh(matrix)
    )

    def denoise(x, log_snr):
        alpha = ops.sqrt(ops.sigmoid(log_snr))
        gain = alpha * values / (alpha**2 * values + ops.sigmoid(-log_snr))
        return ops.matmul(gain * ops.matmul(x, vectors), ops.transpose(vectors))

    return denoise


@pytest.mark.parametrize("levels", [1, 3])
def test_basis_is_orthonormal(levels):
    a = wavelet_basis(levels)
    np.testing.assert_allclose(a @ a.T, np.eye(SIZE**2), 0, 1e-6)


@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.parametrize("t", [0.1, 1.0])
def test_score_of_the_bands_is_the_band_of_the_score(t, levels):
    a, c, x = wavelet_basis(levels), covariance(), wave((3, SIZE**2))
    log_snr = np.full(3, diffusion.log_snr_at(t), "float32")
    noisy, level = ops.convert_to_tensor(x), ops.convert_to_tensor(log_snr)
    guess = denoiser(a @ c @ a.T)(noisy, level[0])
    in_bands = to_numpy(diffusion.score(noisy, guess, level))
    total = np.exp(-2 * t) * c + (1 - np.exp(-2 * t)) * np.eye(SIZE**2)
    in_pixels = -np.linalg.solve(total, a.T @ x.T)
    np.testing.assert_allclose(in_bands, (a @ in_pixels).T, 0, 1e-4)


def test_sampling_the_bands_is_sampling_the_pixels():
    a, c = wavelet_basis(3).astype("float32"), covariance()
    x, grid = wave((2, SIZE**2)), diffusion.log_snr_grid(6)
    bands = diffusion.dpm_solver_2m(denoiser(a @ c @ a.T), x, grid)
    pixels = diffusion.dpm_solver_2m(denoiser(c), x @ a, grid)
    np.testing.assert_allclose(to_numpy(bands), to_numpy(pixels) @ a.T, 0, 1e-4)
