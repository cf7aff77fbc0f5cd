"""The residual block of all networks."""

import keras
from keras import ops

from keras_wmgm.layers.convolution import conv2d
from keras_wmgm.layers.initializers import NumpyGlorotUniform
from keras_wmgm.layers.normalization import build_normalization
from keras_wmgm.layers.normalization import check_normalization
from keras_wmgm.layers.seeds import new_seed
from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.checks import check_fraction
from keras_wmgm.utils.checks import check_optional_count
from keras_wmgm.utils.serialization import register


@register
class ResidualBlock(keras.layers.Layer):
    """Two 3x3 convolutions and a shortcut, modulated by an embedding.

    With `preactivation=True` (score networks) the order is normalize,
    activate, convolve, and the second convolution starts at zero, so a new
    block computes its shortcut only. With `preactivation=False` (the paper's
    generator and critic) it is convolve, normalize, activate, and the sum is
    activated once more.

    An embedding scales and shifts the normalized features channel by channel,
    as `h * (1 + scale) + shift`.

    Args:
        filters: Channels of the output.
        mid_filters: Channels between the two convolutions. Defaults to
            `filters`.
        strides: Stride of the first convolution and of the shortcut.
        normalization: `"group"`, `"batch"` or `None`.
        activation: Anything that `keras.activations.get` takes.
        preactivation: Which of the two orders to use, see above.
        normalize_shortcut: Whether a convolved shortcut is normalized too; it
            has a bias if neither this nor `preactivation=False` is set.
        dropout: Rate of the dropout before the second convolution, in [0, 1).
        **kwargs: Keras's layer arguments (`name`, `dtype`, ...).

    Call arguments:
        x: Features of shape `(batch, height, width, channels)`.
        embedding: Optional, of shape `(batch, units)`.
        training: Whether dropout and batch statistics are used.

    Output shape:
        `(batch, height / strides, width / strides, filters)`, rounded up.

    Example:

    >>> block = keras_wmgm.layers.ResidualBlock(8)
    >>> block(np.ones((1, 4, 4, 3)), np.ones((1, 16))).shape
    (1, 4, 4, 8)

    Reference:
        Dhariwal and Nichol, "Diffusion Models Beat GANs", section 3
        ([arXiv:2105.05233](https://arxiv.org/abs/2105.05233)) for the
        modulation; WMGM, section 3.3
        ([arXiv:2411.09356](https://arxiv.org/abs/2411.09356)).
    """

    def __init__(
        self,
        filters: int,
        mid_filters: int | None = None,
        strides: int = 1,
        normalization: str | None = "group",
        activation: str = "silu",
        preactivation: bool = True,
        normalize_shortcut: bool = False,
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = check_count("filters", filters)
        self.mid_filters = check_optional_count(
            "mid_filters", mid_filters, self.filters
        )
        self.strides = check_count("strides", strides)
        self.normalization = check_normalization(normalization)
        self.activation = keras.activations.get(activation)
        self.preactivation = bool(preactivation)
        self.normalize_shortcut = bool(normalize_shortcut)
        self.dropout = check_fraction("dropout", dropout)

    def build(self, x_shape, embedding_shape=None):
        channels = x_shape[-1]
        before = self.preactivation
        self.conv_1 = self._conv(channels, self.mid_filters, self.strides)
        self.conv_2 = self._conv(
            self.mid_filters, self.filters, zero_start=before
        )
        self.norm_1 = self._norm(channels if before else self.mid_filters)
        self.norm_2 = self._norm(self.mid_filters if before else self.filters)
        self.dropout_layer = keras.layers.Dropout(
            self.dropout, seed=new_seed(), dtype=self.dtype_policy
        )
        self._build_shortcut(channels)
        self.modulation = None
        if embedding_shape is not None:
            self.modulation = keras.layers.Dense(
                2 * self.mid_filters,
                kernel_initializer=NumpyGlorotUniform(),
                dtype=self.dtype_policy,
            )
            self.modulation.build(embedding_shape)

    def _build_shortcut(self, channels):
        self.shortcut = None
        if channels == self.filters and self.strides == 1:
            return
        # Post-activation blocks have no bias here, as in the paper.
        self.shortcut = self._conv(
            channels,
            self.filters,
            kernel_size=1,
            use_bias=self.preactivation and not self.normalize_shortcut,
        )
        kind = self.normalization if self.normalize_shortcut else None
        self.norm_shortcut = self._norm(self.filters, kind)

    def _conv(
        self,
        channels,
        filters,
        strides=1,
        kernel_size=3,
        use_bias=True,
        zero_start=False,
    ):
        conv = conv2d(
            filters,
            kernel_size,
            strides=strides,
            use_bias=use_bias,
            kernel_initializer="zeros" if zero_start else NumpyGlorotUniform(),
            dtype=self.dtype_policy,
        )
        conv.build((None, None, None, channels))
        return conv

    def _norm(self, channels, kind="same"):
        kind = self.normalization if kind == "same" else kind
        return build_normalization(kind, channels, dtype=self.dtype_policy)

    def call(
        self,
        x: Tensor,
        embedding: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        if self.preactivation:
            h = self.conv_1(self.activation(self.norm_1(x)))
            h = self._modulate(self.norm_2(h), embedding)
            h = self.dropout_layer(self.activation(h))
            return self._shortcut(x) + self.conv_2(h)
        h = self._modulate(self.norm_1(self.conv_1(x)), embedding)
        h = self.dropout_layer(self.activation(h))
        h = self.norm_2(self.conv_2(h))
        return self.activation(self._shortcut(x) + h)

    def _shortcut(self, x):
        if self.shortcut is None:
            return x
        # Strides of the convolution itself would do the same, but PyTorch's
        # gradient of it writes where it must not (oneDNN issue 6035).
        x = x[:, :: self.strides, :: self.strides]
        return self.norm_shortcut(self.shortcut(x))

    def _modulate(self, h, embedding):
        if (embedding is None) != (self.modulation is None):
            built = "without" if self.modulation is None else "with"
            raise ValueError(
                f"This ResidualBlock was built {built} an embedding and must "
                f"be called {built} one. Received: an embedding of "
                f"{getattr(embedding, 'shape', None)}"
            )
        if embedding is None:
            return h
        change = self.modulation(ops.silu(embedding))
        scale, shift = ops.split(change[:, None, None, :], 2, axis=-1)
        return h * (1 + scale) + shift

    def compute_output_shape(self, x_shape, embedding_shape=None):
        batch, *size, _ = x_shape
        out = [s and -(-s // self.strides) for s in size]
        return (batch, *out, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "mid_filters": self.mid_filters,
            "strides": self.strides,
            "normalization": self.normalization,
            "activation": keras.activations.serialize(self.activation),
            "preactivation": self.preactivation,
            "normalize_shortcut": self.normalize_shortcut,
            "dropout": self.dropout,
        }
