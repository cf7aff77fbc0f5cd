import keras
import numpy as np
import pytest

from keras_wmgm.layers import BilinearUpSampling2D
from tests.helpers import run_layer_test
from tests.helpers import to_numpy
from tests.helpers import wave


def test_upsampling_is_a_layer():
    def make(dtype):
        return BilinearUpSampling2D(dtype=dtype)

    run_layer_test(make, wave((2, 4, 6, 3)))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 1, 5, 3), (2, 4, 7, 2)])
def test_values_are_those_of_keras(shape):
    x = wave(shape)
    layer = keras.layers.UpSampling2D(2, interpolation="bilinear")
    found = to_numpy(BilinearUpSampling2D()(x))
    np.testing.assert_allclose(found, to_numpy(layer(x)), 0, 1e-6)


def test_a_worked_example():
    # Each value is 3/4 of the near one and 1/4 of the far one; at the edge
    # the far one is the near one again.
    x = np.array([[0.0, 4.0], [8.0, 12.0]]).reshape(1, 2, 2, 1)
    expected = np.add.outer([0, 2, 6, 8], [0, 1, 3, 4])
    found = to_numpy(BilinearUpSampling2D()(x))[0, :, :, 0]
    np.testing.assert_allclose(found, expected)


def test_a_plane_stays_a_plane_inside():
    y, x = np.mgrid[:6, :6]
    plane = (2.0 * y - 3.0 * x)[None, ..., None]
    found = to_numpy(BilinearUpSampling2D()(plane))[0, 1:-1, 1:-1, 0]
    np.testing.assert_allclose(np.diff(found, axis=0), 1.0, 0, 1e-5)
    np.testing.assert_allclose(np.diff(found, axis=1), -1.5, 0, 1e-5)
