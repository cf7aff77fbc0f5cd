import numpy as np
import pytest

from keras_wmgm import diffusion
from keras_wmgm.diffusion import GRIDS


@pytest.mark.parametrize("num_steps", [1, 2, 7])
@pytest.mark.parametrize("t_max", [0.5, 5.0, 50.0])
@pytest.mark.parametrize("name", GRIDS)
def test_grid_falls_from_the_end_to_zero(name, t_max, num_steps):
    grid = GRIDS[name](num_steps, t_max)
    assert grid.shape == (num_steps + 1,) and grid.dtype == "float64"
    np.testing.assert_allclose(grid[0], t_max, 1e-12)
    assert grid[-1] == 0
    assert np.all(np.diff(grid) < 0)


@pytest.mark.parametrize("name", GRIDS)
def test_default_end_is_five(name):
    np.testing.assert_allclose(GRIDS[name](4)[0], 5.0, 1e-12)


def test_what_is_even_in_each_grid():
    even = [
        diffusion.uniform_grid(6, 3.0),
        np.sqrt(diffusion.quadratic_grid(6, 3.0)),
        diffusion.log_snr_at(diffusion.log_snr_grid(6, 3.0)[:-1]),
    ]
    for values in even:
        steps = np.diff(values)
        np.testing.assert_allclose(steps, steps[0], 1e-9)


@pytest.mark.parametrize("name", ["log_snr", "karras"])
def test_grid_asks_down_to_its_last_time(name):
    grid = GRIDS[name](5, 2.0, 0.01)
    np.testing.assert_allclose(grid[-2], 0.01, 1e-9)


def test_karras_grid_is_that_of_the_paper():
    # Eq. 5, with sigma / alpha = sqrt(exp(2 t) - 1) of the process.
    high, low = (np.sqrt(np.expm1(2 * t)) for t in (4.0, 0.01))
    i = np.arange(6)
    root = high ** (1 / 7) + i / 5 * (low ** (1 / 7) - high ** (1 / 7))
    grid = diffusion.karras_grid(6, 4.0, 0.01)
    np.testing.assert_allclose(np.sqrt(np.expm1(2 * grid[:-1])), root**7, 1e-9)


def test_karras_grid_nears_even_log_snrs():
    grid = diffusion.karras_grid(6, 4.0, 0.01, rho=1e5)
    np.testing.assert_allclose(grid, diffusion.log_snr_grid(6, 4.0, 0.01), 1e-3)
