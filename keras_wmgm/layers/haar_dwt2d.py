"""One level of the orthonormal Haar transform."""

import keras
from keras import ops

from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_divisible
from keras_wmgm.utils.serialization import register


@register
class HaarDWT2D(keras.layers.Layer):
    """One level of the orthonormal two-dimensional Haar wavelet transform.

    Every 2x2 block `[[a, b], [c, d]]` becomes

        cA = (a + b + c + d) / 2        cH = (a + b - c - d) / 2
        cV = (a - b + c - d) / 2        cD = (a - b - c + d) / 2

    with the names, the order and the signs of PyWavelets
    (`pywt.dwt2(x, "haar", mode="periodization")`). The transform keeps the
    energy, so for an image in [-1, 1] every coefficient is in [-2, 2], and
    `cA` is twice the block's mean. `HaarIWT2D` is its exact inverse.

    Args:
        **kwargs: Keras's layer arguments (`name`, `dtype`, ...).

    Input shape:
        `(batch, height, width, channels)`; height and width are even, or
        `None` while unknown. Integers are cast to the layer's dtype.

    Output shape:
        A tuple `(coarse, details)`: cA of shape
        `(batch, height / 2, width / 2, channels)`, and cH, cV, cD side by side
        in `(batch, height / 2, width / 2, 3 * channels)`: first cH of all
        channels, then cV, then cD.

    Raises:
        ValueError: If height or width is odd: images are not padded.

    Example:

    >>> x = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    >>> coarse, details = keras_wmgm.layers.HaarDWT2D()(x)
    >>> float(coarse[0, 0, 0, 0]), [float(d) for d in details[0, 0, 0]]
    (5.0, [-2.0, -1.0, 0.0])

    Reference:
        WMGM, Appendix B.3 ([arXiv:2411.09356](https://arxiv.org/abs/2411.09356)).
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._build_at_init()

    def call(self, x: Tensor) -> tuple[Tensor, Tensor]:
        check_divisible(x.shape, 2, "HaarDWT2D")
        x = ops.cast(x, self.compute_dtype)
        _, height, width, channels = ops.shape(x)
        # An axis for the pairs: on TensorFlow, slices with a stride of two
        # take several times as long.
        pairs = (-1, height // 2, 2, width // 2, 2 * channels)
        top, bottom = ops.unstack(ops.reshape(x, pairs), axis=2)
        total, change = top + bottom, top - bottom
        left, right = total[..., :channels], total[..., channels:]
        down_left, down_right = change[..., :channels], change[..., channels:]
        bands = (down_left + down_right, left - right, down_left - down_right)
        return (left + right) / 2, ops.concatenate(bands, axis=-1) / 2

    def compute_output_shape(self, input_shape):
        check_divisible(input_shape, 2, "HaarDWT2D")
        batch, height, width, channels = input_shape
        half = [size and size // 2 for size in (height, width)]
        return (batch, *half, channels), (batch, *half, 3 * channels)
