"""The noise levels of training, and the velocity of a network at one."""

import keras
from keras import ops

from keras_wmgm.factors.factor import named_inputs
from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_number

LOG_SNR_LIMIT = 20.0
REACH = 3.0
"""The log-SNR that a network is given is clipped to so many standard deviations
around its mean. Training meets others so rarely that networks without
normalization explode there."""


class NoiseLevels:
    """A normal distribution of the log-SNR.

    Args:
        mean: Its mean.
        std: Its standard deviation.

    Raises:
        ValueError: For numbers that are out of range.

    Reference:
        Karras et al., "Elucidating the Design Space of Diffusion-Based
        Generative Models", Table 1
        ([arXiv:2206.00364](https://arxiv.org/abs/2206.00364)).
    """

    def __init__(self, mean: float, std: float):
        self.mean = check_number("log_snr_mean", mean)
        self.std = check_number("log_snr_std", std, low=0, above=True)

    def draw(self, batch: int, seed: keras.random.SeedGenerator) -> Tensor:
        """Draw `(batch,)` log-SNRs, with quantiles spread over the batch."""
        shift = keras.random.uniform((), seed=seed)
        ranks = ops.arange(batch, dtype="float32") + shift
        ranks = ranks / ops.cast(batch, "float32")
        # The inverse of the normal distribution function, which is infinite
        # at 0 and 1.
        ranks = ops.clip(ranks, 1e-5, 1 - 1e-5)
        normal = 2**0.5 * ops.erfinv(2 * ranks - 1)
        log_snr = self.mean + self.std * normal
        return ops.clip(log_snr, -LOG_SNR_LIMIT, LOG_SNR_LIMIT)

    def velocity(
        self,
        network: keras.Model,
        x_t: Tensor,
        log_snr: Tensor,
        condition: Tensor | None = None,
        k: int = 0,
        training: bool = False,
    ) -> Tensor:
        """Return the velocity that a network predicts, in float32.

        Args:
            network: As of `DiffusionFactor`.
            x_t: Noisy data, `(batch, height, width, channels)`.
            log_snr: Its noise levels, `(batch,)`. The network is given them
                clipped to three standard deviations around the mean.
            condition: The whitened coarse band of the same level, or `None`.
            k: The level, 0 where there is no condition.
            training: Whether the network is in training mode.
        """
        reach = REACH * self.std
        told = ops.clip(log_snr, self.mean - reach, self.mean + reach)
        inputs = named_inputs(
            network, k, x=x_t, log_snr=told, condition=condition
        )
        return ops.cast(network(inputs, training=training), "float32")
