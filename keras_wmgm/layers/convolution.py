"""The convolution that layers and networks are made of."""

from typing import Any

import keras

from keras_wmgm.layers.initializers import NumpyGlorotUniform


def conv2d(filters: int, kernel_size: int, **kwargs: Any) -> keras.layers.Layer:
    """Return a convolution that keeps height and width, but for its strides.

    Images here have their channels last, whatever `keras.config` says.

    Args:
        filters: Channels of the output.
        kernel_size: Height and width of the kernel.
        **kwargs: `keras.layers.Conv2D`'s (`strides`, `dtype`, ...).
    """
    kwargs.setdefault("kernel_initializer", NumpyGlorotUniform())
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        padding="same",
        data_format="channels_last",
        **kwargs,
    )
