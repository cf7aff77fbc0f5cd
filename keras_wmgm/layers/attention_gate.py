"""The additive attention gate of the generator's skip connections."""

import keras

from keras_wmgm.layers.convolution import conv2d
from keras_wmgm.layers.normalization import build_normalization
from keras_wmgm.layers.normalization import check_normalization
from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.serialization import register


@register
class AttentionGate(keras.layers.Layer):
    """Weight a skip connection by a gating signal from the decoder.

    `x * sigmoid(psi(relu(W_x x + W_g g)))`, with 1x1 convolutions, each
    followed by a normalization. `psi` has one channel, so all channels of a
    position get the same weight. Skip and gating signal have the same height
    and width.

    Args:
        filters: Channels in which skip and gating signal are compared.
        normalization: `"group"`, `"batch"` or `None`.
        **kwargs: Keras's layer arguments (`name`, `dtype`, ...).

    Call arguments:
        x: The skip, of shape `(batch, height, width, channels)`.
        gate: The gating signal, `(batch, height, width, any)`.
        training: Whether batch statistics are used.

    Output shape:
        The shape of `x`.

    Raises:
        ValueError: If heights or widths differ.

    Example:

    >>> gate = keras_wmgm.layers.AttentionGate(4)
    >>> gate(np.ones((1, 8, 8, 6)), np.ones((1, 8, 8, 12))).shape
    (1, 8, 8, 6)

    Reference:
        Oktay et al., "Attention U-Net"
        ([arXiv:1804.03999](https://arxiv.org/abs/1804.03999)), here at one
        resolution, as WMGM's generator uses it
        ([arXiv:2411.09356](https://arxiv.org/abs/2411.09356)).
    """

    def __init__(
        self, filters: int, normalization: str | None = "group", **kwargs
    ):
        super().__init__(**kwargs)
        self.filters = check_count("filters", filters)
        self.normalization = check_normalization(normalization)

    def build(self, x_shape, gate_shape):
        _check_sizes(x_shape, gate_shape)
        self.conv_x, self.norm_x = self._conv(x_shape[-1], self.filters)
        self.conv_gate, self.norm_gate = self._conv(
            gate_shape[-1], self.filters
        )
        self.conv_psi, self.norm_psi = self._conv(self.filters, 1)

    def _conv(self, channels, filters):
        conv = conv2d(filters, 1, dtype=self.dtype_policy)
        conv.build((None, None, None, channels))
        norm = build_normalization(
            self.normalization, filters, dtype=self.dtype_policy
        )
        return conv, norm

    def call(
        self, x: Tensor, gate: Tensor, training: bool | None = None
    ) -> Tensor:
        _check_sizes(x.shape, gate.shape)
        h = self.norm_x(self.conv_x(x))
        h = h + self.norm_gate(self.conv_gate(gate))
        psi = self.conv_psi(keras.ops.relu(h))
        psi = self.norm_psi(psi)
        return x * keras.ops.sigmoid(psi)

    def compute_output_shape(self, x_shape, gate_shape):
        _check_sizes(x_shape, gate_shape)
        return x_shape

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "normalization": self.normalization,
        }


def _check_sizes(x_shape, gate_shape):
    pairs = zip(x_shape[1:3], gate_shape[1:3], strict=True)
    if any(a != b for a, b in pairs if a is not None and b is not None):
        raise ValueError(
            "AttentionGate needs `x` and `gate` of the same height and width. "
            f"Received: x.shape={tuple(x_shape)}, "
            f"gate.shape={tuple(gate_shape)}"
        )
