"""The attention-gated U-Net that draws detail bands."""

import keras
from keras import ops

from keras_wmgm.layers.attention_gate import AttentionGate
from keras_wmgm.layers.bilinear_upsampling2d import BilinearUpSampling2D
from keras_wmgm.layers.convolution import conv2d
from keras_wmgm.layers.normalization import check_normalization
from keras_wmgm.layers.residual_block import ResidualBlock
from keras_wmgm.networks.network import Network
from keras_wmgm.networks.network import image_input
from keras_wmgm.networks.network import scale_input
from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.checks import check_counts
from keras_wmgm.utils.checks import check_optional_count
from keras_wmgm.utils.serialization import register


@register
class DetailUNet(Network):
    """WMGM's generator: from a coarse band and noise to three detail bands.

    A U-Net with the blocks of the paper (convolve, normalize, activate;
    `(in + out) // 2` channels in between), with attention gates on the skips
    and a linear output: whitened details are not bounded, so there is no
    tanh.

    Inputs are a dictionary: `"condition"`, the coarse band
    `(batch, height, width, channels)`; `"noise"`, of the same height and
    width, if `noise_channels > 0`; and if `num_scales` is set, `"scale"`, of
    shape `(batch,)`, the scale index k, starting at 1.

    Args:
        channels: Channels of the image and of `"condition"`.
        noise_channels: Channels of `"noise"`; 0 for a network without noise.
            Defaults to `channels`.
        num_scales: How many scales share the network, or `None` for one.
        filters: Channels of each level, finest first.
        head_filters: Channels of the last block.
        normalization: `"group"`, `"batch"` (the paper's) or `None`.
        dtype: Dtype policy; `None` for the global one.
        **kwargs: Keras's model arguments (`name`, `trainable`).

    Output shape:
        `(batch, height, width, 3 * channels)`: cH, cV, cD, grouped by band.

    Raises:
        ValueError: If height or width is not a multiple of
            `2 ** (len(filters) - 1)`, or if an argument is out of range.

    Example:

    >>> net = keras_wmgm.networks.DetailUNet(3, filters=(8, 16))
    >>> x = np.ones((2, 8, 8, 3))
    >>> net({"condition": x, "noise": x}).shape
    (2, 8, 8, 9)

    The paper's (36,471,600 parameters):

    >>> net = keras_wmgm.networks.DetailUNet(
    ...     3, filters=(64, 128, 256, 512, 1024), normalization="batch")

    Reference:
        WMGM, section 3.3 and Eq. 21
        ([arXiv:2411.09356](https://arxiv.org/abs/2411.09356)).
    """

    def __init__(
        self,
        channels: int,
        noise_channels: int | None = None,
        num_scales: int | None = None,
        filters: tuple[int, ...] = (32, 64, 128),
        head_filters: int = 32,
        normalization: str | None = "group",
        dtype=None,
        **kwargs,
    ):
        channels = check_count("channels", channels)
        if noise_channels is None:
            noise_channels = channels
        config = {
            "channels": channels,
            "noise_channels": check_count("noise_channels", noise_channels, 0),
            "num_scales": check_optional_count("num_scales", num_scales),
            "filters": check_counts("filters", filters, min_length=1),
            "head_filters": check_count("head_filters", head_filters),
            "normalization": check_normalization(normalization),
            "dtype": dtype,
        }
        inputs, outputs = _graph(**config)
        super().__init__(
            inputs,
            outputs,
            size_multiple=2 ** (len(config["filters"]) - 1),
            config=config,
            **kwargs,
        )


def _graph(
    channels,
    noise_channels,
    num_scales,
    filters,
    head_filters,
    normalization,
    dtype,
):
    """Return the inputs and the output of a `DetailUNet`."""
    inputs = {"condition": image_input("condition", channels)}
    h = inputs["condition"]
    if noise_channels:
        inputs["noise"] = image_input("noise", noise_channels)
        h = ops.concatenate([h, inputs["noise"]], axis=-1)
    embedding = scale_input(inputs, num_scales, 4 * filters[0], dtype=dtype)

    def block(h: Tensor, filters: int) -> Tensor:
        layer = ResidualBlock(
            filters,
            mid_filters=(h.shape[-1] + filters) // 2,
            normalization=normalization,
            activation="leaky_relu",
            preactivation=False,
            dtype=dtype,
        )
        return layer(h) if embedding is None else layer(h, embedding)

    skips = []
    for level, units in enumerate(filters):
        if level:
            skips.append(h)
            reduce = keras.layers.MaxPooling2D(
                data_format="channels_last", dtype=dtype
            )
            h = reduce(h)
        h = block(h, units)
    for units, skip in zip(filters[-2::-1], skips[::-1], strict=True):
        h = BilinearUpSampling2D(dtype=dtype)(h)
        h = block(h, units)
        gate = AttentionGate(max(units // 2, 1), normalization, dtype=dtype)
        h = ops.concatenate([gate(skip, h), h], axis=-1)
    h = block(h, head_filters)
    return inputs, conv2d(3 * channels, 1, dtype=dtype)(h)
