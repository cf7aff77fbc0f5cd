"""The convolution that layers and networks use."""

from typing import Any

import keras

from keras_wmgm.layers.initializers import NumpyGlorotUniform


def conv2d(filters: int, kernel_size: int, **kwargs: Any) -> keras.layers.Layer:
    """Return a convolution with "same" padding and channels last.

    The channels come last whatever `keras.config` says.

    Args:
        filters: Channels of the output.
        kernel_size: Height and width of the kernel.
        **kwargs: Arguments of `keras.layers.Conv2D` (`strides`, `dtype`, ...).
    """
    kwargs.setdefault("kernel_initializer", NumpyGlorotUniform())
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        padding="same",
        data_format="channels_last",
        **kwargs,
    )
