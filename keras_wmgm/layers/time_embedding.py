"""The embedding of the noise level."""

import keras
import numpy as np
from keras import ops

from keras_wmgm.layers.initializers import NumpyGlorotUniform
from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.checks import check_optional_count
from keras_wmgm.utils.serialization import register

# Periods in log-SNR, whose useful range is about [-15, 15]: the longest is
# monotone over that range, the shortest tells neighboring steps apart.
SHORTEST_PERIOD, LONGEST_PERIOD = 0.5, 64.0


@register
class TimeEmbedding(keras.layers.Layer):
    """Embed the log-SNR of a diffusion process in a vector.

    Sines and cosines of the log-SNR at geometrically spaced frequencies,
    followed by two dense layers with a SiLU between them. Unlike the time,
    the log-SNR does not depend on how a process is parametrized.

    Args:
        units: Length of the embedding.
        num_frequencies: Number of frequencies, with a sine and a cosine
            each. Defaults to `units // 8`, at least 1.
        **kwargs: Keras's layer arguments (`name`, `dtype`, ...).

    Input shape:
        `(batch,)`: `log(alpha^2 / sigma^2)`, cast to float32.

    Output shape:
        `(batch, units)`.

    Example:

    >>> layer = keras_wmgm.layers.TimeEmbedding(units=32)
    >>> layer(np.array([-2.0, 0.0, 2.0])).shape
    (3, 32)

    Reference:
        Ho et al., "Denoising Diffusion Probabilistic Models", Appendix B
        ([arXiv:2006.11239](https://arxiv.org/abs/2006.11239)); Kingma et al.,
        "Variational Diffusion Models", section 3.1, for the log-SNR
        ([arXiv:2107.00630](https://arxiv.org/abs/2107.00630)).
    """

    def __init__(
        self, units: int, num_frequencies: int | None = None, **kwargs
    ):
        # With the 8 bits of bfloat16, log-SNRs 0.1 apart would be equal.
        super().__init__(autocast=False, **kwargs)
        self.units = check_count("units", units)
        self.num_frequencies = check_optional_count(
            "num_frequencies", num_frequencies, max(self.units // 8, 1)
        )
        periods = np.geomspace(
            SHORTEST_PERIOD, LONGEST_PERIOD, self.num_frequencies
        )
        self.frequencies = (2 * np.pi / periods).astype("float32")

    def build(self, input_shape):
        self.dense_1 = self._dense(2 * self.num_frequencies, "silu")
        self.dense_2 = self._dense(self.units, None)

    def _dense(self, channels, activation):
        dense = keras.layers.Dense(
            self.units,
            activation=activation,
            kernel_initializer=NumpyGlorotUniform(),
            dtype=self.dtype_policy,
        )
        dense.build((None, channels))
        return dense

    def call(self, log_snr: Tensor) -> Tensor:
        log_snr = ops.expand_dims(ops.cast(log_snr, "float32"), -1)
        angles = log_snr * ops.convert_to_tensor(self.frequencies)
        waves = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)
        return self.dense_2(self.dense_1(waves))

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "num_frequencies": self.num_frequencies,
        }
