"""The critic of the adversarial detail factor."""

import keras

from keras_wmgm.layers.convolution import conv2d
from keras_wmgm.layers.initializers import NumpyGlorotUniform
from keras_wmgm.layers.normalization import build_normalization
from keras_wmgm.layers.normalization import check_normalization
from keras_wmgm.layers.residual_block import ResidualBlock
from keras_wmgm.layers.seeds import new_seed
from keras_wmgm.networks.network import Network
from keras_wmgm.networks.network import image_input
from keras_wmgm.networks.network import scale_input
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.checks import check_counts
from keras_wmgm.utils.checks import check_fraction
from keras_wmgm.utils.checks import check_optional_count
from keras_wmgm.utils.serialization import register


@register
class DetailCritic(Network):
    """WMGM's critic: from an image, or its bands, to one unbounded number.

    A convolution, residual blocks that halve the size, a global mean, and two
    dense layers. The input may be bands or the image that they reconstruct.

    Inputs are a dictionary: `"x"`, of shape
    `(batch, height, width, channels)`, and if `num_scales` is set,
    `"scale"`, of shape `(batch,)`, the scale index k, starting at 1.

    Args:
        channels: Channels of `"x"`.
        num_scales: How many scales share the network, or `None` for one.
        filters: Channels of the first convolution, then of each block.
        units: Units of the hidden dense layer. Defaults to half of the last
            of `filters`.
        normalization: `"group"`, `"batch"` (the paper's) or `None`.
        dropout: Rate of the dropout before the last layer, in [0, 1).
        dtype: Dtype policy; `None` for the global one.
        **kwargs: Keras's model arguments (`name`, `trainable`).

    Output shape:
        `(batch, 1)`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> net = keras_wmgm.networks.DetailCritic(3, filters=(8, 16, 32))
    >>> net({"x": np.ones((2, 16, 16, 3))}).shape
    (2, 1)

    The paper's (42,632,257 parameters):

    >>> net = keras_wmgm.networks.DetailCritic(
    ...     3, filters=(64, 128, 256, 512, 1024, 2048),
    ...     normalization="batch", dropout=0.5)

    Reference:
        WMGM, section 3.3 and Eq. 22
        ([arXiv:2411.09356](https://arxiv.org/abs/2411.09356)).
    """

    def __init__(
        self,
        channels: int,
        num_scales: int | None = None,
        filters: tuple[int, ...] = (32, 64, 128),
        units: int | None = None,
        normalization: str | None = "group",
        dropout: float = 0.0,
        dtype=None,
        **kwargs,
    ):
        filters = check_counts("filters", filters, min_length=1)
        config = {
            "channels": check_count("channels", channels),
            "num_scales": check_optional_count("num_scales", num_scales),
            "filters": filters,
            "units": check_optional_count(
                "units", units, max(filters[-1] // 2, 1)
            ),
            "normalization": check_normalization(normalization),
            "dropout": check_fraction("dropout", dropout),
            "dtype": dtype,
        }
        inputs, outputs = _graph(**config)
        super().__init__(
            inputs, outputs, size_multiple=1, config=config, **kwargs
        )


def _graph(channels, num_scales, filters, units, normalization, dropout, dtype):
    """Return the inputs and the output of a `DetailCritic`."""

    def start():
        return {"kernel_initializer": NumpyGlorotUniform(), "dtype": dtype}

    inputs = {"x": image_input("x", channels)}
    embedding = scale_input(inputs, num_scales, 4 * filters[0], dtype=dtype)
    h = conv2d(filters[0], 3, dtype=dtype)(inputs["x"])
    h = build_normalization(normalization, filters[0], dtype=dtype)(h)
    h = keras.ops.leaky_relu(h)
    for block_filters in filters[1:]:
        block = ResidualBlock(
            block_filters,
            mid_filters=h.shape[-1],
            strides=2,
            normalization=normalization,
            activation="leaky_relu",
            preactivation=False,
            normalize_shortcut=True,
            dtype=dtype,
        )
        h = block(h) if embedding is None else block(h, embedding)
    mean = keras.layers.GlobalAveragePooling2D(
        data_format="channels_last", dtype=dtype
    )
    h = keras.layers.Dense(units, activation="leaky_relu", **start())(mean(h))
    h = keras.layers.Dropout(dropout, seed=new_seed(), dtype=dtype)(h)
    return inputs, keras.layers.Dense(1, **start())(h)
