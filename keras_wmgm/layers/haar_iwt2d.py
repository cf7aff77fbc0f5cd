"""The inverse of one level of the orthonormal Haar transform."""

import keras
from keras import ops

from keras_wmgm.types import Tensor
from keras_wmgm.utils.serialization import register


@register
class HaarIWT2D(keras.layers.Layer):
    """The exact inverse of `HaarDWT2D`: two bands to an image twice as large.

    Args:
        **kwargs: Keras's layer arguments (`name`, `dtype`, ...).

    Input shape:
        A tuple `(coarse, details)`: cA of shape
        `(batch, height, width, channels)`, and cH, cV, cD side by side in
        `(batch, height, width, 3 * channels)`, grouped by band.

    Output shape:
        `(batch, 2 * height, 2 * width, channels)`.

    Raises:
        ValueError: If the two shapes do not match.

    Example:

    >>> x = np.random.default_rng(0).normal(size=(1, 4, 6, 3))
    >>> bands = keras_wmgm.layers.HaarDWT2D()(x)
    >>> y = keras_wmgm.layers.HaarIWT2D()(bands)
    >>> bool(np.abs(keras.ops.convert_to_numpy(y) - x).max() < 1e-6)
    True

    Reference:
        WMGM, Eq. 18 and Appendix B.3
        ([arXiv:2411.09356](https://arxiv.org/abs/2411.09356)).
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._build_at_init()

    def call(self, bands: tuple[Tensor, Tensor]) -> Tensor:
        coarse, details = (ops.cast(b, self.compute_dtype) for b in bands)
        _check_bands(coarse.shape, details.shape)
        h, v, d = ops.split(details, 3, axis=-1)
        top, bottom, left, right = coarse + h, coarse - h, v + d, v - d
        rows = [
            ops.stack([top + left, top - left], axis=3),
            ops.stack([bottom + right, bottom - right], axis=3),
        ]
        _, height, width, channels = ops.shape(coarse)
        blocks = ops.stack(rows, axis=2) / 2
        return ops.reshape(blocks, (-1, 2 * height, 2 * width, channels))

    def compute_output_shape(self, input_shape):
        _check_bands(*input_shape)
        batch, height, width, channels = input_shape[0]
        double = [size and 2 * size for size in (height, width)]
        return (batch, *double, channels)


def _check_bands(coarse, details):
    """Refuse shapes that do not match as cA and cH, cV, cD."""
    fits = len(coarse) == len(details) == 4 and details[-1] == 3 * coarse[-1]
    for a, b in zip(coarse[1:3], details[1:3], strict=False):
        fits = fits and (a is None or b is None or a == b)
    if not fits:
        raise ValueError(
            "HaarIWT2D takes (coarse, details) with coarse of shape (batch, "
            "height, width, channels) and details of shape (batch, height, "
            "width, 3 * channels). Received: "
            f"coarse.shape={tuple(coarse)}, details.shape={tuple(details)}"
        )
