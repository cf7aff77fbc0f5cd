"""A factor that is learned from the scores of another and drawn in one call."""

import keras
from keras import ops

from keras_wmgm.diffusion.grids import T_MAX
from keras_wmgm.diffusion.process import denoised
from keras_wmgm.diffusion.process import diffuse
from keras_wmgm.diffusion.process import log_snr_at
from keras_wmgm.diffusion.process import velocity
from keras_wmgm.factors.adversarial_losses import LOSSES
from keras_wmgm.factors.critics import adversarial_terms
from keras_wmgm.factors.critics import gan_optimizer
from keras_wmgm.factors.diffusion_factor import DiffusionFactor
from keras_wmgm.factors.diffusion_factor import as_teacher
from keras_wmgm.factors.factor import AVERAGED
from keras_wmgm.factors.factor import SMALL
from keras_wmgm.factors.factor import WATCHED
from keras_wmgm.factors.factor import Factor
from keras_wmgm.factors.factor import FactorLoss
from keras_wmgm.factors.factor import check_channels
from keras_wmgm.factors.factor import check_network
from keras_wmgm.factors.factor import deserialize_networks
from keras_wmgm.factors.factor import rms
from keras_wmgm.factors.factor import spread_of
from keras_wmgm.factors.noise_levels import NoiseLevels
from keras_wmgm.optimizers.conv_muon import ConvMuon
from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.utils.checks import check_number
from keras_wmgm.utils.serialization import register

MEAN_SHARE = 8
"""The mean is learned on one image in so many: it is the easier task."""


@register
class DistilledFactor(Factor):
    """A factor drawn in one call, learned by distribution matching.

    The generator is a score network that is called once, at the first time of
    the diffusion, where its estimate of the clean band is a function of the
    noise `z`: `G(z, c) = alpha_T z - sigma_T v(z, c)`. It learns from two
    scores, at random noise levels `x_t = alpha G + sigma eps`: that of the
    data, which a trained `DiffusionFactor` knows (the teacher), and that of
    what the generator draws, which a third network learns on the way (the
    fake score). With `D` their estimates of the clean band,

        L_draw = mean |G - sg(G - g)|^2 / 2 + mean_weight L_mean
        g = (D_fake(x_t, c) - D_teacher(x_t, c)) / mean |G - D_teacher(x_t, c)|
        L_fake = mean |v_fake(x_t, c) - (alpha eps - sigma sg(G))|^2
        L_mean = mean |G(0, c) - sg(D_teacher(0, c))|^2

    with `sg` the stopped gradient. The gradient of `L_draw` is that of the
    Kullback-Leibler divergence between the two distributions, at many noise
    levels. `L_mean` keeps `G(0, c)` the expectation of the band, given the
    condition.

    Generator and fake score start from the teacher's network
    (`from_teacher`), so a few hundred steps are enough. Presets hold neither
    the teacher nor the fake score.

    Args:
        network: The generator: a model as of `DiffusionFactor`.
        teacher: A trained `DiffusionFactor` of the same band, with its guide;
            `None` for a factor that only draws. It never learns.
        fake: The network of the fake score; by default one like the
            teacher's, made from its weights when training starts.
        log_snr_mean: Mean of the log-SNR in training.
        log_snr_std: Its standard deviation.
        t_max: The time at which the generator is called.
        temperature: Standard deviation of the noise z.
        mean_weight: Weight of `L_mean`.
        condition_noise: See `Factor`.
        critic: A critic of the condition and the details side by side, such as
            `DetailCritic`, for an adversarial term beside the others (WMGM,
            Eq. 21 and 22); `None`, the default, for no such term: it did not
            help (zoo/NOTES.md).
        adversarial_loss: As of `AdversarialFactor`.
        adversarial_weight: Weight of the adversarial term.
        **kwargs: Keras's layer arguments (`name`, `trainable`).

    Example:

    >>> net = keras_wmgm.networks.ScoreUNet(
    ...     9, condition_channels=3, filters=(8,), num_blocks=1)
    >>> teacher = keras_wmgm.factors.DiffusionFactor(net)
    >>> factor = keras_wmgm.factors.DistilledFactor.from_teacher(teacher)
    >>> noise = {"start": np.ones((2, 8, 8, 9))}
    >>> factor.sample(noise, condition=np.ones((2, 8, 8, 3)), k=1).shape
    (2, 8, 8, 9)

    Raises:
        ValueError: For networks without these inputs, a teacher that is no
            `DiffusionFactor`, and numbers that are out of range.

    Reference:
        Yin et al., "One-step Diffusion with Distribution Matching
        Distillation", Eq. 7 and 8
        ([arXiv:2311.18828](https://arxiv.org/abs/2311.18828)), and "Improved
        Distribution Matching Distillation"
        ([arXiv:2405.14867](https://arxiv.org/abs/2405.14867)), which learns
        without pairs of noise and image, as here.
    """

    training_only = ("fake", "teacher", "critic")
    frozen = ("teacher",)

    def __init__(
        self,
        network: keras.Model,
        teacher: DiffusionFactor | None = None,
        fake: keras.Model | None = None,
        log_snr_mean: float = 1.0,
        log_snr_std: float = 2.4,
        t_max: float = T_MAX,
        temperature: float = 1.0,
        mean_weight: float = 1.0,
        condition_noise: float = 0.0,
        critic: keras.Model | None = None,
        adversarial_loss: str = "relativistic",
        adversarial_weight: float = 0.1,
        **kwargs,
    ):
        super().__init__(condition_noise, **kwargs)
        self.network = check_network("network", network, {"x", "log_snr"})
        if isinstance(teacher, DiffusionFactor) and any(
            n is network for n in teacher.drawing()
        ):
            raise ValueError(
                "`network` must be another than the teacher's, which does not "
                "learn: see `from_teacher`. Received: the teacher's network"
            )
        self.teacher = as_teacher(teacher)
        self.fake = fake
        if fake is not None:
            check_network("fake", fake, {"x", "log_snr"})
        levels = NoiseLevels(log_snr_mean, log_snr_std)
        self.log_snr_mean, self.log_snr_std = levels.mean, levels.std
        self.t_max = check_number("t_max", t_max, low=0, above=True)
        self.temperature = check_number(
            "temperature", temperature, low=0, above=True
        )
        self.mean_weight = check_number("mean_weight", mean_weight, low=0)
        self.critic = critic
        if critic is not None:
            check_network("critic", critic, {"x"})
        self.adversarial_loss = check_choice(
            "adversarial_loss", adversarial_loss, LOSSES
        )
        self.adversarial_weight = check_number(
            "adversarial_weight", adversarial_weight, low=0
        )

    @classmethod
    def from_teacher(
        cls, teacher: DiffusionFactor, **kwargs
    ) -> "DistilledFactor":
        """Return a factor that starts from a trained `DiffusionFactor`.

        Args:
            teacher: The teacher; it is kept, and learns nothing from now on.
            **kwargs: Arguments of the class; the noise levels, `t_max` and
                the temperature are by default the teacher's.
        """
        teacher = as_teacher(teacher)
        names = ("log_snr_mean", "log_snr_std", "t_max", "temperature")
        own = {name: getattr(teacher, name) for name in names}
        return cls(copy_of(teacher.network), teacher, **{**own, **kwargs})

    @property
    def levels(self) -> NoiseLevels:
        """The noise levels of training."""
        return NoiseLevels(self.log_snr_mean, self.log_snr_std)

    @property
    def networks(self) -> dict[str, keras.layers.Layer]:
        networks = {
            "draw": self.network,
            "fake": self.fake,
            "teacher": self.teacher,
            "critic": self.critic,
        }
        return {key: n for key, n in networks.items() if n is not None}

    @property
    def roles(self) -> tuple[str, ...]:
        critic = () if self.critic is None else ("critic",)
        return ("draw", "fake", "teacher", *critic)

    @property
    def measures(self) -> tuple[str, ...]:
        return ("std_ratio", "spread")

    def prepare_training(self) -> None:
        """Make the fake score from the teacher's network, unless it exists."""
        if self.fake is None and self.teacher is not None:
            self.fake = copy_of(self.teacher.network)

    def check_training(self) -> None:
        if self.teacher is None:
            raise ValueError(
                "A `DistilledFactor` learns from a teacher, and presets hold "
                "none: make the model anew from its teacher, "
                "`WMGM.from_teacher(WSGM.from_preset(...))`, or train the "
                "other factors (`fit(..., factors='coarse')`). "
                "Received: teacher=None"
            )

    def check_band(self, channels: int, condition: int, k: int) -> None:
        super().check_band(channels, condition, k)
        for network in (self.network, self.fake):
            if network is not None:
                check_channels(network, "x", channels)
                check_channels(network, "condition", condition)
        if self.teacher is not None:
            self.teacher.check_band(channels, condition, k)
        if self.critic is not None:
            check_channels(self.critic, "x", channels + condition)

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
        z = keras.random.normal(ops.shape(target), seed=seed)
        training_draw = training and self.learns("draw")
        x, mean = self._draw_with_mean(z, condition, k, training_draw)
        still = ops.stop_gradient(x)
        log_snr = self.levels.draw(ops.shape(target)[0], seed)
        noise = keras.random.normal(ops.shape(target), seed=seed)
        x_t = diffuse(still, noise, log_snr)
        training_fake = training and self.learns("fake")
        v_fake = self.levels.velocity(
            self.fake, x_t, log_snr, condition, k, training_fake
        )
        step = self._step(still, x_t, v_fake, log_snr, condition, k)
        draw_loss = ops.mean((x - (still - step)) ** 2) / 2
        if mean is not None:
            wanted = self._teacher_mean(mean, condition, k)
            draw_loss += self.mean_weight * ops.mean((mean - wanted) ** 2)
        fake_loss = ops.mean((v_fake - velocity(still, noise, log_snr)) ** 2)
        losses = {"draw": draw_loss, "fake": fake_loss}
        if self.critic is not None:
            terms = self._adversarial(x, target, condition, k, seed, training)
            losses["draw"] += self.adversarial_weight * terms.generator
            losses["critic"] = terms.critic
        return FactorLoss(
            losses,
            rms(still) / rms(target),
            self._spread(target, condition, z, still, k),
        )

    def _draw_with_mean(self, z, condition, k, training):
        """Return draws, and `G(0, c)` of some conditions, by one call."""
        if not self.mean_weight:
            return self._generate(z, condition, k, training), None
        zeros = ops.zeros_like(_some(z, MEAN_SHARE))
        both = ops.concatenate([z, zeros], axis=0)
        if condition is not None:
            some = _some(condition, MEAN_SHARE)
            condition = ops.concatenate([condition, some], axis=0)
        drawn = self._generate(both, condition, k, training)
        batch = ops.shape(z)[0]
        return drawn[:batch], drawn[batch:]

    def _generate(self, z, condition, k, training=False):
        """Return `alpha z - sigma v(z, c)` at the time `t_max`."""
        z = self.temperature * ops.convert_to_tensor(z, dtype="float32")
        log_snr = self._first_levels(z)
        v = self.levels.velocity(
            self.network, z, log_snr, condition, k, training
        )
        return denoised(z, v, log_snr)

    def _first_levels(self, z):
        level = float(log_snr_at(self.t_max))
        return ops.full((ops.shape(z)[0],), level, dtype="float32")

    def _step(self, x, x_t, v_fake, log_snr, condition, k):
        """Return the step g away from the fake score, toward the teacher's."""
        v = self.teacher.predict_velocity(x_t, log_snr, condition, k)
        guess = denoised(x_t, v, log_snr)
        step = denoised(x_t, v_fake, log_snr) - guess
        axes = tuple(range(1, len(x.shape)))
        size = ops.mean(ops.abs(x - guess), axis=axes, keepdims=True)
        return ops.stop_gradient(step / ops.maximum(size, SMALL))

    def _teacher_mean(self, like, condition, k):
        """Return the teacher's expectation of the band, without guidance."""
        z = ops.zeros_like(like)
        log_snr = self._first_levels(z)
        if condition is not None:
            condition = _some(condition, MEAN_SHARE)
        v = self.teacher.predict_velocity(
            z, log_snr, condition, k, guided=False
        )
        return ops.stop_gradient(denoised(z, v, log_snr))

    def _adversarial(self, x, target, condition, k, seed, training):
        """Return the terms of a critic of the condition and the details."""

        def see(details):
            if condition is None:
                return details
            return ops.concatenate([condition, details], axis=-1)

        training = training and self.learns("critic")
        return adversarial_terms(
            self.critic,
            see,
            target,
            x,
            k,
            seed,
            training,
            self.adversarial_loss,
        )

    def _spread(self, target, condition, z, x, k):
        """Return E|f - f'|^2 / E|f - h|^2 of some images of a batch."""
        # The noise of another image, shifted in case the batch has only one.
        other = ops.roll(ops.roll(z, 1, axis=0), z.shape[1] // 2, axis=1)
        if condition is not None:
            condition = condition[:WATCHED]
        f = self._generate(other[:WATCHED], condition, k)
        return spread_of(x[:WATCHED], f, target[:WATCHED])

    def noise_shapes(
        self, shape: tuple[int, int, int]
    ) -> dict[str, tuple[int, ...]]:
        return {"start": tuple(shape)}

    def sample(
        self,
        noise: dict[str, Tensor],
        condition: Tensor | None = None,
        k: int = 0,
    ) -> Tensor:
        """Draw a whitened band in one call.

        Args:
            noise: `"start"`, `(batch, *band)`: the start of the teacher's
                sampler too, so one seed gives similar pictures.
            condition: The whitened coarse band of the same level, or `None`.
            k: The level, 0 where there is no condition.
        """
        return self._generate(noise["start"], condition, k)

    def default_optimizer(self, role: str) -> keras.optimizers.Optimizer:
        if role == "critic":
            return gan_optimizer()
        if role == "draw":
            return ConvMuon(5e-4, global_clipnorm=1.0, **AVERAGED)
        return ConvMuon(2e-3, global_clipnorm=1.0)

    def get_preset_config(self):
        return {**self.get_config(), **dict.fromkeys(self.training_only)}

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "network": serialize(self.network),
            "teacher": self.teacher and serialize(self.teacher),
            "fake": self.fake and serialize(self.fake),
            "log_snr_mean": self.log_snr_mean,
            "log_snr_std": self.log_snr_std,
            "t_max": self.t_max,
            "temperature": self.temperature,
            "mean_weight": self.mean_weight,
            "critic": self.critic and serialize(self.critic),
            "adversarial_loss": self.adversarial_loss,
            "adversarial_weight": self.adversarial_weight,
        }

    @classmethod
    def from_config(cls, config):
        names = ("network", "teacher", "fake", "critic")
        return cls(**deserialize_networks(config, names))


def copy_of(network: keras.Model) -> keras.Model:
    """Return a network of the same weights, all of which learn."""
    made = type(network).from_config(network.get_config())
    made.trainable = True  # a teacher's configuration says it is frozen
    made.set_weights(network.get_weights())
    return made


def _some(x, share):
    """Return the first images of a batch, one in `share`, at least one."""
    count = x.shape[0]
    if count is None:
        return x[: ops.maximum(ops.shape(x)[0] // share, 1)]
    return x[: max(count // share, 1)]
