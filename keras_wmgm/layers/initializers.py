"""Initial weights drawn by NumPy."""

import math

import keras
import numpy as np

from keras_wmgm.layers.seeds import new_seed
from keras_wmgm.utils.serialization import register


@register
class NumpyGlorotUniform(keras.initializers.Initializer):
    """Keras's `GlorotUniform`, drawn by NumPy.

    The same seed gives the same weights on every backend. It is also fast:
    JAX compiles a random function again for every shape, which takes half a
    minute for a small U-Net.

    Args:
        seed: An integer; `None` takes one from Python's `random`, which
            `keras.utils.set_random_seed` seeds.

    Example:

    >>> keras_wmgm.layers.NumpyGlorotUniform(seed=0)((3, 3, 4, 8)).shape
    (3, 3, 4, 8)

    Reference:
        Glorot and Bengio, "Understanding the difficulty of training deep
        feedforward neural networks", AISTATS 2010, Eq. 16.
    """

    def __init__(self, seed: int | None = None):
        self.seed = seed

    def __call__(self, shape, dtype=None):
        *field, fan_in, fan_out = shape
        limit = math.sqrt(6 / (math.prod(field) * (fan_in + fan_out)))
        seed = new_seed() if self.seed is None else self.seed
        values = np.random.default_rng(seed).uniform(-limit, limit, shape)
        return keras.ops.convert_to_tensor(values.astype("float32"), dtype)

    def get_config(self):
        return {"seed": self.seed}
