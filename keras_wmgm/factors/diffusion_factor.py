"""A factor that is learned as a score and drawn in a few steps."""

import keras
from keras import ops

from keras_wmgm.diffusion.grids import GRIDS
from keras_wmgm.diffusion.grids import T_MAX
from keras_wmgm.diffusion.grids import T_MIN
from keras_wmgm.diffusion.grids import WITH_END
from keras_wmgm.diffusion.process import denoised
from keras_wmgm.diffusion.process import diffuse
from keras_wmgm.diffusion.process import velocity
from keras_wmgm.diffusion.samplers import SAMPLERS
from keras_wmgm.factors.factor import AVERAGED
from keras_wmgm.factors.factor import SMALL
from keras_wmgm.factors.factor import Factor
from keras_wmgm.factors.factor import FactorLoss
from keras_wmgm.factors.factor import check_channels
from keras_wmgm.factors.factor import check_network
from keras_wmgm.factors.factor import deserialize_networks
from keras_wmgm.factors.factor import named_inputs
from keras_wmgm.optimizers.conv_muon import ConvMuon
from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.utils.checks import check_number
from keras_wmgm.utils.serialization import register

LOG_SNR_LIMIT = 20.0
REACH = 3.0
"""The log-SNR that a network is given is clipped to so many standard deviations
around its mean. Training meets others so rarely that networks without
normalization explode there."""


@register
class DiffusionFactor(Factor):
    """A factor learned by denoising score matching (WMGM, Eq. 19).

    The network predicts the velocity, and its mean squared error is the loss.
    The log-SNR of a training step is normal, and its quantiles are spread
    evenly over the batch. In training and in drawing, the log-SNR that the
    network is given is clipped to three standard deviations around its mean.
    The process assumes unit standard deviation, which whitened bands have.

    A guide is a smaller network that has learned the same task for fewer
    steps. The difference `v - v_guide` points away from the errors that both
    networks make; drawing uses `v + (guidance - 1) * (v - v_guide)`
    (autoguidance). It adds the cost of the guide's calls, and makes up for
    much training. A guide that has hardly learned makes the images worse.

    Args:
        network: A model with the inputs `"x"` and `"log_snr"`, and
            `"condition"` and `"scale"` if it needs them, such as
            `ScoreUNet`. Its output has the channels of the band.
        log_snr_mean: Mean of the log-SNR in training.
        log_snr_std: Its standard deviation.
        grid: The times at which a sampler calls the network: `"log_snr"`,
            `"karras"`, `"quadratic"` or `"uniform"`.
        t_max: Where the grid starts.
        t_min: Where a `"log_snr"` or `"karras"` grid ends, before the last
            step to 0.
        condition_noise: See `Factor`.
        guide: A smaller network of the same inputs and outputs, or `None`.
            `fit(factors="guide")` trains it alone, `fit()` with all others.
        guidance: Strength of the guidance; 1 for none. Larger bands need
            less: too much of it makes details too strong. The attribute can
            be set before drawing.
        temperature: Standard deviation of the noise that drawing starts from.
            With few steps, samples lose some of their spread, and the loss
            adds up over the levels; about 1.03 corrects it. The attribute can
            be set before drawing.
        **kwargs: Keras's layer arguments (`name`, `trainable`).

    Example:

    >>> net = keras_wmgm.networks.ScoreUNet(3, filters=(8,), num_blocks=1)
    >>> factor = keras_wmgm.factors.DiffusionFactor(net)
    >>> noise = {"start": np.ones((2, 8, 8, 3))}
    >>> factor.sample(noise, num_steps=4, sampler="dpm_solver_2m").shape
    (2, 8, 8, 3)

    Raises:
        ValueError: For a network without these inputs, and for numbers that
            are out of range.

    Reference:
        WMGM, Eq. 19 and 20
        ([arXiv:2411.09356](https://arxiv.org/abs/2411.09356)); Karras et al.,
        "Elucidating the Design Space of Diffusion-Based Generative Models",
        Table 1, for the distribution of the noise levels
        ([arXiv:2206.00364](https://arxiv.org/abs/2206.00364)); Karras et al.,
        "Guiding a Diffusion Model with a Bad Version of Itself", Eq. 3 and 4
        ([arXiv:2406.02507](https://arxiv.org/abs/2406.02507)).
    """

    takes_steps = True
    warmup_steps = 300

    def __init__(
        self,
        network: keras.Model,
        log_snr_mean: float = 1.0,
        log_snr_std: float = 2.4,
        grid: str = "log_snr",
        t_max: float = T_MAX,
        t_min: float = T_MIN,
        condition_noise: float = 0.0,
        guide: keras.Model | None = None,
        guidance: float = 1.0,
        temperature: float = 1.0,
        **kwargs,
    ):
        super().__init__(condition_noise, **kwargs)
        self.network = check_network("network", network, {"x", "log_snr"})
        self.guide = guide
        if guide is not None:
            check_network("guide", guide, {"x", "log_snr"})
        self.guidance = check_number("guidance", guidance, low=0)
        if guide is None and guidance != 1:
            raise ValueError(
                "`guidance` other than 1 needs a guide: give `guide`, or leave "
                f"`guidance` at 1. Received: guidance={guidance}, guide=None"
            )
        self.temperature = check_number(
            "temperature", temperature, low=0, above=True
        )
        self.log_snr_mean = check_number("log_snr_mean", log_snr_mean)
        self.log_snr_std = check_number(
            "log_snr_std", log_snr_std, low=0, above=True
        )
        self.grid = check_choice("grid", grid, GRIDS)
        self.t_max = check_number("t_max", t_max, low=0, above=True)
        self.t_min = check_number("t_min", t_min, low=0)
        self.times(1)

    @property
    def networks(self) -> dict[str, keras.Model]:
        if self.guide is None:
            return {"draw": self.network}
        return {"draw": self.network, "guide": self.guide}

    @property
    def is_new(self) -> bool:
        # A new `ScoreUNet` has a last layer of zeros and predicts 0.
        last = self.network.layers[-1].weights
        values = (ops.convert_to_numpy(weight) for weight in last)
        return bool(last) and not any(value.any() for value in values)

    def drawing(self) -> tuple[keras.Model, ...]:
        return tuple(self.networks.values())

    def check_band(self, channels: int, condition: int, k: int) -> None:
        super().check_band(channels, condition, k)
        for network in self.drawing():
            check_channels(network, "x", channels)

    def times(self, num_steps: int):
        """Return the grid of a sampler with this many network calls."""
        if self.grid in WITH_END:
            return GRIDS[self.grid](num_steps, self.t_max, self.t_min)
        return GRIDS[self.grid](num_steps, self.t_max)

    def loss(
        self,
        target: Tensor,
        condition: Tensor | None = None,
        k: int = 0,
        reconstruct=None,
        seed=None,
        training: bool = True,
    ) -> FactorLoss:
        condition = self.corrupt(condition, seed, training)
        losses, calibrations = {}, {}
        for role, network in self.networks.items():
            if self.learns(role):
                losses[role], calibrations[role] = self._match(
                    network, target, condition, k, seed, training
                )
        return FactorLoss(losses, calibrations.get("draw"))

    def _match(self, network, x_0, condition, k, seed, training):
        """Return a network's loss, and the calibration of its estimates."""
        log_snr = self._draw_log_snr(ops.shape(x_0)[0], seed)
        noise = keras.random.normal(ops.shape(x_0), seed=seed)
        x_t = diffuse(x_0, noise, log_snr)
        v = self._velocity(network, x_t, log_snr, condition, k, training)
        loss = ops.mean((v - velocity(x_0, noise, log_snr)) ** 2)
        return loss, _calibration(x_0, denoised(x_t, v, log_snr))

    def _draw_log_snr(self, batch, seed):
        """Draw normal log-SNRs whose quantiles are spread over the batch."""
        shift = keras.random.uniform((), seed=seed)
        ranks = ops.arange(batch, dtype="float32") + shift
        ranks = ranks / ops.cast(batch, "float32")
        # The inverse of the normal distribution function, which is infinite
        # at 0 and 1.
        ranks = ops.clip(ranks, 1e-5, 1 - 1e-5)
        normal = 2**0.5 * ops.erfinv(2 * ranks - 1)
        log_snr = self.log_snr_mean + self.log_snr_std * normal
        return ops.clip(log_snr, -LOG_SNR_LIMIT, LOG_SNR_LIMIT)

    def _velocity(self, network, x_t, log_snr, condition, k, training=False):
        reach = REACH * self.log_snr_std
        told = ops.clip(
            log_snr, self.log_snr_mean - reach, self.log_snr_mean + reach
        )
        inputs = named_inputs(
            network, k, x=x_t, log_snr=told, condition=condition
        )
        return ops.cast(network(inputs, training=training), "float32")

    @property
    def _is_guided(self):
        return self.guide is not None and self.guidance != 1

    def _guided_velocity(self, x_t, log_snr, condition, k):
        v = self._velocity(self.network, x_t, log_snr, condition, k)
        if not self._is_guided:
            return v
        v_guide = self._velocity(self.guide, x_t, log_snr, condition, k)
        return v + (self.guidance - 1) * (v - v_guide)

    def calls(self, num_steps: int = 8, sampler: str | None = None) -> int:
        return 2 * num_steps if self._is_guided else num_steps

    def default_optimizer(self, role: str) -> keras.optimizers.Optimizer:
        clipped = {**AVERAGED, "global_clipnorm": 1.0}
        if role == "draw":
            return ConvMuon(4e-3, **clipped)
        return keras.optimizers.Adam(1e-3, **clipped)

    def noise_shapes(
        self,
        shape: tuple[int, int, int],
        num_steps: int = 8,
        sampler: str = "dpm_solver_2m",
    ) -> dict[str, tuple[int, ...]]:
        shapes = {"start": tuple(shape)}
        if SAMPLERS[sampler].stochastic:
            shapes["steps"] = (num_steps, *shape)
        return shapes

    def sample(
        self,
        noise: dict[str, Tensor],
        condition: Tensor | None = None,
        k: int = 0,
        num_steps: int = 8,
        sampler: str = "dpm_solver_2m",
    ) -> Tensor:
        """Draw a whitened band from standard normal noise.

        Args:
            noise: `"start"`, `(batch, *band)`, and for a stochastic sampler
                `"steps"`, `(batch, num_steps, *band)`.
            condition: The whitened coarse band of the same level, or `None`.
            k: The level, 0 where there is no condition.
            num_steps: Number of calls of the network, and of its guide.
            sampler: One of `keras_wmgm.diffusion.SAMPLERS`.
        """

        def denoiser(x, log_snr):
            log_snr = ops.broadcast_to(log_snr, (ops.shape(x)[0],))
            v = self._guided_velocity(x, log_snr, condition, k)
            return denoised(x, v, log_snr)

        steps = noise.get("steps")
        if steps is not None:
            steps = ops.moveaxis(steps, 1, 0)
        run = SAMPLERS[check_choice("sampler", sampler, SAMPLERS)]
        start = self.temperature * noise["start"]
        return run(denoiser, start, self.times(num_steps), steps)

    def get_config(self):
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "log_snr_mean": self.log_snr_mean,
            "log_snr_std": self.log_snr_std,
            "grid": self.grid,
            "t_max": self.t_max,
            "t_min": self.t_min,
            "guide": self.guide
            and keras.saving.serialize_keras_object(self.guide),
            "guidance": self.guidance,
            "temperature": self.temperature,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**deserialize_networks(config, ("network", "guide")))


def _calibration(x_0, guess):
    """Return `E[D^2] / E[D x_0]`, 1 for the expectation D of x_0 given x_t.

    A denoiser whose estimates are c times too large has c. This replaces the
    ratio of spreads, for which one would have to draw samples.
    """
    energy = ops.mean(guess**2)
    return energy / ops.maximum(ops.mean(guess * x_0), SMALL)
