"""The U-Net that learns a score."""

import keras
from keras import ops

from keras_wmgm.layers.attention_gate import AttentionGate
from keras_wmgm.layers.convolution import conv2d
from keras_wmgm.layers.normalization import build_normalization
from keras_wmgm.layers.normalization import check_normalization
from keras_wmgm.layers.residual_block import ResidualBlock
from keras_wmgm.layers.self_attention2d import SelfAttention2D
from keras_wmgm.layers.time_embedding import TimeEmbedding
from keras_wmgm.networks.network import Network
from keras_wmgm.networks.network import image_input
from keras_wmgm.networks.network import scale_input
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.checks import check_counts
from keras_wmgm.utils.checks import check_fraction
from keras_wmgm.utils.checks import check_optional_count
from keras_wmgm.utils.serialization import register


@register
class ScoreUNet(Network):
    """A U-Net from a noisy image and its noise level to a prediction.

    The loss decides whether it predicts noise, velocity or the clean image.
    Level i of the U-Net works at 1 / 2^i of the input's size. The last
    convolution and the residual branch of every block start at zero.

    Inputs are a dictionary: `"x"`, the noisy image
    `(batch, height, width, channels)`; `"log_snr"`, of shape `(batch,)`; if
    `condition_channels > 0`, `"condition"`, an image of the size of `"x"`;
    and if `num_scales` is set, `"scale"`, of shape `(batch,)`, the scale
    index k, starting at 1.

    Args:
        channels: Channels of `"x"`.
        out_channels: Channels of the output. Defaults to `channels`.
        condition_channels: Channels of `"condition"`; 0 for none.
        num_scales: How many scales share the network, or `None` for one.
        filters: Channels of each level, finest first.
        num_blocks: Residual blocks per level of the encoder; the decoder has
            one more.
        attention_levels: The levels with self-attention.
        num_heads: Heads of the self-attention.
        attention_gates: Whether the skip connections are gated.
        normalization: `"group"`, `"batch"` or `None`. On a CPU `None` is
            at least twice as fast, and small networks do not need one;
            self-attention keeps its own normalization.
        dropout: Rate of the dropout in the residual blocks, in [0, 1).
        dtype: Dtype policy; `None` for the global one.
        **kwargs: Keras's model arguments (`name`, `trainable`).

    Output shape:
        `(batch, height, width, out_channels)`.

    Raises:
        ValueError: If height or width is not a multiple of
            `2 ** (len(filters) - 1)`, or if an argument is out of range.

    Example:

    >>> net = keras_wmgm.networks.ScoreUNet(3, filters=(8, 16), num_blocks=1)
    >>> net({"x": np.ones((2, 8, 8, 3)), "log_snr": np.zeros(2)}).shape
    (2, 8, 8, 3)

    The paper's (52.55 M parameters, for its 32x32 band):

    >>> net = keras_wmgm.networks.ScoreUNet(
    ...     3, out_channels=6, filters=(128, 256, 256, 256), num_blocks=3,
    ...     attention_levels=(1, 2), attention_gates=False,
    ...     normalization="group")

    Reference:
        Nichol and Dhariwal, "Improved Denoising Diffusion Probabilistic
        Models" ([arXiv:2102.09672](https://arxiv.org/abs/2102.09672)), for
        the U-Net; WMGM, Eq. 19
        ([arXiv:2411.09356](https://arxiv.org/abs/2411.09356)).
    """

    def __init__(
        self,
        channels: int,
        out_channels: int | None = None,
        condition_channels: int = 0,
        num_scales: int | None = None,
        filters: tuple[int, ...] = (48, 64),
        num_blocks: int = 1,
        attention_levels: tuple[int, ...] = (),
        num_heads: int = 4,
        attention_gates: bool = True,
        normalization: str | None = None,
        dropout: float = 0.0,
        dtype=None,
        **kwargs,
    ):
        config = {
            "channels": check_count("channels", channels),
            "out_channels": check_optional_count(
                "out_channels", out_channels, channels
            ),
            "condition_channels": check_count(
                "condition_channels", condition_channels, minimum=0
            ),
            "num_scales": check_optional_count("num_scales", num_scales),
            "filters": check_counts("filters", filters, min_length=1),
            "num_blocks": check_count("num_blocks", num_blocks),
            "attention_levels": check_counts(
                "attention_levels", attention_levels, minimum=0
            ),
            "num_heads": check_count("num_heads", num_heads),
            "attention_gates": bool(attention_gates),
            "normalization": check_normalization(normalization),
            "dropout": check_fraction("dropout", dropout),
            "dtype": dtype,
        }
        _check_levels(config)
        graph = _Graph(**config)
        super().__init__(
            graph.inputs,
            graph.outputs,
            size_multiple=2 ** (len(config["filters"]) - 1),
            config=config,
            **kwargs,
        )

    @classmethod
    def from_config(cls, config, custom_objects=None):
        # The first files do not say it, and mean what was the default then.
        return cls(**{"normalization": "group", **config})


def _check_levels(config):
    """Refuse self-attention at levels that do not exist."""
    levels, count = config["attention_levels"], len(config["filters"])
    if any(level >= count for level in levels):
        raise ValueError(
            f"`attention_levels` must be below the number of levels, {count} "
            f"with filters={config['filters']}. "
            f"Received: attention_levels={levels}"
        )


class _Graph:
    """The functional graph of a `ScoreUNet`, built level by level."""

    def __init__(
        self,
        channels,
        out_channels,
        condition_channels,
        num_scales,
        filters,
        num_blocks,
        attention_levels,
        num_heads,
        attention_gates,
        normalization,
        dropout,
        dtype,
    ):
        self.filters = filters
        self.num_blocks = num_blocks
        self.attention_levels = attention_levels
        self.num_heads = num_heads
        self.attention_gates = attention_gates
        self.normalization = normalization
        self.dropout = dropout
        self.dtype = dtype
        self.inputs = {
            "x": image_input("x", channels),
            "log_snr": keras.Input((), name="log_snr"),
        }
        if condition_channels:
            self.inputs["condition"] = image_input(
                "condition", condition_channels
            )
        self.embedding = self._embed(num_scales)
        self.outputs = self._head(self._up(*self._down()), out_channels)

    def _embed(self, num_scales):
        units = 4 * self.filters[0]
        embedding = TimeEmbedding(units, dtype=self.dtype)
        embedding = embedding(self.inputs["log_snr"])
        scale = scale_input(self.inputs, num_scales, units, dtype=self.dtype)
        return embedding if scale is None else embedding + scale

    def _down(self):
        """Return the deepest features and the skips, finest first."""
        h = self.inputs["x"]
        if "condition" in self.inputs:
            h = ops.concatenate([h, self.inputs["condition"]], axis=-1)
        h = self._conv(self.filters[0])(h)
        skips = [h]
        for level, filters in enumerate(self.filters):
            if level:
                h = self._conv(filters=h.shape[-1], strides=2)(h)
                skips.append(h)
            for _ in range(self.num_blocks):
                h = self._block(h, filters, level in self.attention_levels)
                skips.append(h)
        h = self._block(h, self.filters[-1], bool(self.attention_levels))
        return self._block(h, self.filters[-1]), skips

    def _up(self, h, skips):
        for level in reversed(range(len(self.filters))):
            for _ in range(self.num_blocks + 1):
                h = ops.concatenate([h, self._gate(skips.pop(), h)], axis=-1)
                attention = level in self.attention_levels
                h = self._block(h, self.filters[level], attention)
            if level:
                enlarge = keras.layers.UpSampling2D(
                    data_format="channels_last", dtype=self.dtype
                )
                h = self._conv(h.shape[-1])(enlarge(h))
        return h

    def _head(self, h, channels):
        norm = build_normalization(
            self.normalization, h.shape[-1], dtype=self.dtype
        )
        h = ops.silu(norm(h))
        return self._conv(channels, kernel_initializer="zeros")(h)

    def _block(self, h, filters, attention=False):
        block = ResidualBlock(
            filters,
            normalization=self.normalization,
            dropout=self.dropout,
            dtype=self.dtype,
        )
        h = block(h, self.embedding)
        if attention:
            h = SelfAttention2D(self.num_heads, dtype=self.dtype)(h)
        return h

    def _gate(self, skip, h):
        if not self.attention_gates:
            return skip
        units = max(skip.shape[-1] // 2, 1)
        return AttentionGate(units, self.normalization, dtype=self.dtype)(
            skip, h
        )

    def _conv(self, filters, **kwargs):
        return conv2d(filters, 3, dtype=self.dtype, **kwargs)
