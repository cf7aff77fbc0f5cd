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
from keras_wmgm.factors.factor import freeze_layer
from keras_wmgm.factors.noise_levels import NoiseLevels
from keras_wmgm.optimizers.conv_muon import ConvMuon
from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.utils.checks import check_number
from keras_wmgm.utils.serialization import register


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
        teacher: Another factor of the same band. If given, the network learns
            to predict what the teacher's network and guide predict together,
            so that guided drawing takes one call a step (guidance
            distillation). It never learns, and presets leave it out.
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
        ([arXiv:2406.02507](https://arxiv.org/abs/2406.02507)); Meng et al.,
        "On Distillation of Guided Diffusion Models", section 3.1, for the
        teacher ([arXiv:2210.03142](https://arxiv.org/abs/2210.03142)).
    """

    takes_steps = True
    warmup_steps = 300
    training_only = ("teacher",)
    frozen = ("teacher",)

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
        teacher: "DiffusionFactor | None" = None,
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
        levels = NoiseLevels(log_snr_mean, log_snr_std)
        self.log_snr_mean, self.log_snr_std = levels.mean, levels.std
        self.grid = check_choice("grid", grid, GRIDS)
        self.t_max = check_number("t_max", t_max, low=0, above=True)
        self.t_min = check_number("t_min", t_min, low=0)
        self.times(1)
        self.teacher = as_teacher(teacher)

    @property
    def levels(self) -> NoiseLevels:
        """The noise levels of training."""
        return NoiseLevels(self.log_snr_mean, self.log_snr_std)

    @property
    def networks(self) -> dict[str, keras.layers.Layer]:
        networks = {
            "draw": self.network,
            "guide": self.guide,
            "teacher": self.teacher,
        }
        return {key: n for key, n in networks.items() if n is not None}

    @property
    def is_new(self) -> bool:
        # A new `ScoreUNet` has a last layer of zeros and predicts 0.
        last = self.network.layers[-1].weights
        values = (ops.convert_to_numpy(weight) for weight in last)
        return bool(last) and not any(value.any() for value in values)

    def drawing(self) -> tuple[keras.Model, ...]:
        networks = (self.network, self.guide)
        return tuple(n for n in networks if n is not None)

    def check_band(self, channels: int, condition: int, k: int) -> None:
        super().check_band(channels, condition, k)
        for network in self.drawing():
            check_channels(network, "x", channels)
        if self.teacher is not None:
            self.teacher.check_band(channels, condition, k)

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
        for role in ("draw", "guide"):
            if role in self.networks and self.learns(role):
                losses[role], calibrations[role] = self._match(
                    role, target, condition, k, seed, training
                )
        return FactorLoss(losses, calibrations.get("draw"))

    def _match(self, role, x_0, condition, k, seed, training):
        """Return a network's loss, and the calibration of its estimates."""
        log_snr = self.levels.draw(ops.shape(x_0)[0], seed)
        noise = keras.random.normal(ops.shape(x_0), seed=seed)
        x_t = diffuse(x_0, noise, log_snr)
        v = self.levels.velocity(
            self.networks[role], x_t, log_snr, condition, k, training
        )
        wanted = velocity(x_0, noise, log_snr)
        if role == "draw" and self.teacher is not None:
            wanted = ops.stop_gradient(
                self.teacher.predict_velocity(x_t, log_snr, condition, k)
            )
        loss = ops.mean((v - wanted) ** 2)
        return loss, _calibration(x_0, denoised(x_t, v, log_snr))

    @property
    def is_guided(self) -> bool:
        """Whether drawing calls the guide."""
        return self.guide is not None and self.guidance != 1

    def predict_velocity(
        self,
        x_t: Tensor,
        log_snr: Tensor,
        condition: Tensor | None = None,
        k: int = 0,
        guided: bool = True,
    ) -> Tensor:
        """Return the velocity that the network predicts, with its guide's help.

        Args:
            x_t: Noisy data, `(batch, height, width, channels)`.
            log_snr: Its noise levels, `(batch,)`.
            condition: The whitened coarse band of the same level, or `None`.
            k: The level, 0 where there is no condition.
            guided: Whether the guide is used.
        """
        inputs = (x_t, log_snr, condition, k)
        v = self.levels.velocity(self.network, *inputs)
        if not (guided and self.is_guided):
            return v
        v_guide = self.levels.velocity(self.guide, *inputs)
        return v + (self.guidance - 1) * (v - v_guide)

    def calls(self, num_steps: int = 8, sampler: str | None = None) -> int:
        return 2 * num_steps if self.is_guided else num_steps

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
            v = self.predict_velocity(x, log_snr, condition, k)
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
            "teacher": self.teacher
            and keras.saving.serialize_keras_object(self.teacher),
        }

    def get_preset_config(self):
        return {**self.get_config(), "teacher": None}

    @classmethod
    def from_config(cls, config):
        names = ("network", "guide", "teacher")
        return cls(**deserialize_networks(config, names))


def as_teacher(teacher: DiffusionFactor | None) -> DiffusionFactor | None:
    """Return a factor that others learn from, which learns nothing itself.

    Raises:
        ValueError: If it is no `DiffusionFactor`.
    """
    if teacher is None:
        return None
    if not isinstance(teacher, DiffusionFactor):
        raise ValueError(
            "`teacher` must be a `DiffusionFactor`, whose network knows the "
            f"scores of the band. Received: teacher={teacher!r}"
        )
    freeze_layer(teacher)
    return teacher


def _calibration(x_0, guess):
    """Return `E[D^2] / E[D x_0]`, 1 for the expectation D of x_0 given x_t.

    A denoiser whose estimates are c times too large has c. This replaces the
    ratio of spreads, for which one would have to draw samples.
    """
    energy = ops.mean(guess**2)
    return energy / ops.maximum(ops.mean(guess * x_0), SMALL)
