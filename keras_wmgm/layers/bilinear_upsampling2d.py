"""Bilinear upsampling by two, for images of unknown size."""

import keras
from keras import ops

from keras_wmgm.types import Tensor
from keras_wmgm.utils.serialization import register


@register
class BilinearUpSampling2D(keras.layers.Layer):
    """Double height and width by bilinear interpolation.

    Gives the values of
    `keras.layers.UpSampling2D(2, interpolation="bilinear")` (half-pixel
    centers, edges repeated), but also for a height and width that are known
    only when a compiled function runs.

    Args:
        **kwargs: Keras's layer arguments (`name`, `dtype`, ...).

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, 2 * height, 2 * width, channels)`.

    Example:

    >>> x = np.array([0.0, 4.0]).reshape(1, 1, 2, 1)
    >>> y = keras_wmgm.layers.BilinearUpSampling2D()(x)
    >>> [float(value) for value in y[0, 0, :, 0]]
    [0.0, 1.0, 3.0, 4.0]
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._build_at_init()

    def call(self, x: Tensor) -> Tensor:
        return _double(_double(x, 1), 2)

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        double = [size and 2 * size for size in (height, width)]
        return (batch, *double, channels)


def _double(x, axis):
    """Interpolate along an axis: each value is 3/4 the near, 1/4 the far."""
    rest = [slice(None)] * axis
    first, last = x[(*rest, slice(0, 1))], x[(*rest, slice(-1, None))]
    before = ops.concatenate([first, x[(*rest, slice(0, -1))]], axis=axis)
    after = ops.concatenate([x[(*rest, slice(1, None))], last], axis=axis)
    pair = ops.stack(
        [0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1
    )
    shape = list(ops.shape(x))
    shape[0], shape[axis] = -1, 2 * shape[axis]
    return ops.reshape(pair, shape)
