import json

import keras
import numpy as np

from keras_wmgm.layers import NumpyGlorotUniform
from keras_wmgm.networks import DetailCritic
from tests.helpers import to_numpy


def test_values_are_glorots_uniform():
    shape = (3, 3, 40, 60)
    values = to_numpy(NumpyGlorotUniform(seed=0)(shape))
    limit = np.sqrt(6 / (9 * (40 + 60)))
    assert values.shape == shape and np.abs(values).max() <= limit
    assert np.abs(values).max() > 0.999 * limit
    np.testing.assert_allclose(values.mean(), 0, 0, 0.01 * limit)
    np.testing.assert_allclose(values.std(), limit / np.sqrt(3), 0.01)


def test_values_are_the_same_on_every_backend():
    values = to_numpy(NumpyGlorotUniform(seed=7)((2, 3))).ravel()
    limit = np.sqrt(6 / 5)
    expected = np.random.default_rng(7).uniform(-limit, limit, 6)
    np.testing.assert_allclose(values, expected, 1e-6)


def test_a_network_is_a_function_of_keras_seed():
    networks = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        networks.append(DetailCritic(3, filters=(4, 4)).get_weights())
    first, second, other = networks
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_layers_of_one_network_differ():
    keras.utils.set_random_seed(0)
    network = DetailCritic(3, filters=(4, 4, 4))
    kernels = [w for w in network.weights if tuple(w.shape) == (3, 3, 4, 4)]
    first, *others = map(to_numpy, kernels)
    assert len(others) >= 2
    assert all((other != first).any() for other in others)


def test_configuration_comes_back():
    saved = keras.saving.serialize_keras_object(NumpyGlorotUniform(seed=3))
    twin = keras.saving.deserialize_keras_object(json.loads(json.dumps(saved)))
    expected = to_numpy(NumpyGlorotUniform(seed=3)((4, 4)))
    np.testing.assert_array_equal(to_numpy(twin((4, 4))), expected)
