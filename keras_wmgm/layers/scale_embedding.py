"""The embedding of the scale index."""

import keras
from keras import ops

from keras_wmgm.layers.initializers import NumpyGlorotUniform
from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.serialization import register


@register
class ScaleEmbedding(keras.layers.Layer):
    """Embed the scale index k in a vector.

    With it, one network can serve all scales. There is one learned vector per
    scale; an index below 1 or above `num_scales` gets the vector of the
    nearest scale.

    Args:
        num_scales: Number of scales; k runs from 1, the finest, to this number.
        units: Length of the embedding.
        **kwargs: Keras's layer arguments (`name`, `dtype`, ...).

    Input shape:
        `(batch,)`: k as integers or floats.

    Output shape:
        `(batch, units)`.

    Example:

    >>> layer = keras_wmgm.layers.ScaleEmbedding(num_scales=3, units=8)
    >>> layer(np.array([1, 2, 3])).shape
    (3, 8)

    Reference:
        WMGM, Eq. 21, where the scales share one generator
        ([arXiv:2411.09356](https://arxiv.org/abs/2411.09356)). The embedding
        is not in the paper.
    """

    def __init__(self, num_scales: int, units: int, **kwargs):
        # Casting k to a half-precision type would gain nothing.
        super().__init__(autocast=False, **kwargs)
        self.num_scales = check_count("num_scales", num_scales)
        self.units = check_count("units", units)

    def build(self, input_shape):
        self.table = self.add_weight(
            name="table",
            shape=(self.num_scales, self.units),
            initializer=NumpyGlorotUniform(),
        )

    def call(self, scale: Tensor) -> Tensor:
        index = ops.cast(ops.clip(scale, 1, self.num_scales), "int32") - 1
        return ops.cast(ops.take(self.table, index, axis=0), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "num_scales": self.num_scales,
            "units": self.units,
        }
