"""Self-attention over the positions of a feature map."""

import keras
from keras import ops

from keras_wmgm.layers.initializers import NumpyGlorotUniform
from keras_wmgm.layers.normalization import build_normalization
from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.serialization import register


@register
class SelfAttention2D(keras.layers.Layer):
    """Self-attention over a feature map, with a residual connection.

    Group normalization, multi-head attention over the `height * width`
    positions, and a residual sum. Memory grows with the square of the number
    of positions.

    Args:
        num_heads: Number of heads; must divide the channels.
        **kwargs: Keras's layer arguments (`name`, `dtype`, ...).

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        The shape of the input.

    Raises:
        ValueError: If `num_heads` does not divide the channels.

    Example:

    >>> layer = keras_wmgm.layers.SelfAttention2D(num_heads=2)
    >>> layer(np.ones((1, 4, 4, 8))).shape
    (1, 4, 4, 8)

    Reference:
        Ho et al., "Denoising Diffusion Probabilistic Models", Appendix B
        ([arXiv:2006.11239](https://arxiv.org/abs/2006.11239)).
    """

    def __init__(self, num_heads: int = 4, **kwargs):
        super().__init__(**kwargs)
        self.num_heads = check_count("num_heads", num_heads)

    def build(self, input_shape):
        channels = input_shape[-1]
        if channels % self.num_heads:
            raise ValueError(
                "`num_heads` must divide the channels. Received: "
                f"num_heads={self.num_heads}, channels={channels}"
            )
        self.norm = build_normalization(
            "group", channels, dtype=self.dtype_policy
        )
        self.attention = keras.layers.MultiHeadAttention(
            self.num_heads,
            channels // self.num_heads,
            kernel_initializer=NumpyGlorotUniform(),
            dtype=self.dtype_policy,
        )
        tokens = (None, None, channels)
        self.attention.build(tokens, tokens)

    def call(self, x: Tensor) -> Tensor:
        _, height, width, channels = ops.shape(x)
        tokens = ops.reshape(self.norm(x), (-1, height * width, channels))
        tokens = self.attention(tokens, tokens)
        return x + ops.reshape(tokens, (-1, height, width, channels))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads}
