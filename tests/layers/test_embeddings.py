import functools

import numpy as np
import pytest

from keras_wmgm.layers import ScaleEmbedding
from keras_wmgm.layers import TimeEmbedding
from tests.helpers import fill
from tests.helpers import run_layer_test
from tests.helpers import to_numpy
from tests.helpers import wave


def test_time_embedding_is_a_layer():
    make = functools.partial(TimeEmbedding, units=16, num_frequencies=3)
    run_layer_test(make, 10 * wave((4,)))


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_scale_embedding_is_a_layer(dtype):
    make = functools.partial(ScaleEmbedding, num_scales=3, units=4)
    run_layer_test(make, np.array([1, 3, 2, 3], dtype))


def test_time_embedding_is_the_formula():
    layer = TimeEmbedding(units=4, num_frequencies=2)
    log_snr = np.array([-3.0, 0.0, 4.5])
    layer(log_snr)
    w_1, b_1, w_2, b_2 = (to_numpy(w) for w in fill(layer).weights)
    # Periods of half a unit and of 64 units of log-SNR.
    angles = log_snr[:, None] * 2 * np.pi / np.array([0.5, 64.0])
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    h = waves @ w_1 + b_1
    expected = h / (1 + np.exp(-h)) @ w_2 + b_2
    np.testing.assert_allclose(to_numpy(layer(log_snr)), expected, 0, 1e-5)


def test_time_embedding_tells_close_levels_apart_in_bfloat16():
    # bfloat16 has one number for all three.
    log_snr = np.array([12.0, 12.01, 12.02], "float32")
    layer = TimeEmbedding(units=32, dtype="mixed_bfloat16")
    first, second, third = to_numpy(layer(log_snr))
    assert np.abs(first - second).max() > 0
    assert np.abs(third - second).max() > 0


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_scale_outside_the_range_is_the_nearest(dtype):
    layer = ScaleEmbedding(num_scales=3, units=8, dtype=dtype)
    y = to_numpy(layer(np.array([-4, 0, 1, 2, 3, 4, 300])))
    first, second, third = y[2], y[3], y[4]
    assert not np.allclose(first, second) and not np.allclose(second, third)
    np.testing.assert_array_equal(y[:3], [first] * 3)
    np.testing.assert_array_equal(y[4:], [third] * 3)


def test_scale_is_a_row_of_the_table():
    layer = ScaleEmbedding(num_scales=3, units=8)
    y = to_numpy(layer(np.array([3, 1])))
    np.testing.assert_array_equal(y, to_numpy(layer.table)[[2, 0]])
