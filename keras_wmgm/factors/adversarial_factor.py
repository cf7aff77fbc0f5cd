"""A factor that is learned against a critic and drawn in one step."""

import copy

import keras
from keras import ops

from keras_wmgm.factors.adversarial_losses import LOSSES
from keras_wmgm.factors.critics import adversarial_terms
from keras_wmgm.factors.critics import gan_optimizer
from keras_wmgm.factors.factor import AVERAGED
from keras_wmgm.factors.factor import WATCHED
from keras_wmgm.factors.factor import Factor
from keras_wmgm.factors.factor import FactorLoss
from keras_wmgm.factors.factor import check_channels
from keras_wmgm.factors.factor import check_network
from keras_wmgm.factors.factor import deserialize_networks
from keras_wmgm.factors.factor import named_inputs
from keras_wmgm.factors.factor import rms
from keras_wmgm.factors.factor import spread_of
from keras_wmgm.metrics.ssim import ssim
from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.utils.checks import check_number
from keras_wmgm.utils.serialization import register

CRITIC_INPUTS = ("bands", "image")
WEIGHTS = (
    "mse_weight",
    "ssim_weight",
    "adversarial_weight",
    "gamma",
    "penalty_std",
)


@register
class AdversarialFactor(Factor):
    """A conditional GAN for detail bands (WMGM, Eq. 21 and 22).

        L_G = lambda mean (f - h)^2 + nu (1 - SSIM) + alpha L_adv,  f = G(c, z)
        L_D = D(c, f) - D(c, h) + penalty

    Errors are measured on whitened bands, SSIM on the images in [-1, 1] that
    they reconstruct (data range 2). The penalty keeps the critic smooth: it is
    the finite-difference form of R1 and R2,
    `gamma / 2 * mean (D(c, h + s n) - D(c, h))^2 / s^2` on reals and on
    fakes, which needs first derivatives only.

    Departures from the paper: a critic with this penalty does not estimate W1
    (the paper's critic has a sigmoid and no Lipschitz control); generator and
    critic take one step each, with different learning rates, while the paper's
    code steps the critic once per four generator steps; and the losses of all
    levels are summed, while Algorithm 1 steps level by level.

    Args:
        generator: A model with the input `"condition"`, and `"noise"` and
            `"scale"` if it needs them, such as `DetailUNet`.
        critic: A model with the input `"x"`, such as `DetailCritic`; or the
            serialized configuration of one, which is made when training
            starts.
        adversarial_loss: `"wasserstein"`, `"relativistic"` (pairing) or
            `"hinge"`.
        mse_weight: The paper's lambda.
        ssim_weight: The paper's nu.
        adversarial_weight: The paper's alpha.
        gamma: Weight of the penalty; 0 for none.
        penalty_std: The penalty's s, in whitened units. Below 0.1 the
            difference is lost in the rounding of bfloat16.
        critic_input: What `"x"` of the critic is: `"bands"`, the condition
            and the details side by side, or `"image"`, the image of twice the
            size that they reconstruct.
        condition_noise: See `Factor`.
        **kwargs: Keras's layer arguments (`name`, `trainable`).

    Example:

    >>> factor = keras_wmgm.factors.AdversarialFactor(
    ...     keras_wmgm.networks.DetailUNet(3, filters=(8, 16)),
    ...     keras_wmgm.networks.DetailCritic(12, filters=(8, 16)))
    >>> band = np.ones((2, 8, 8, 3))
    >>> factor.sample({"start": band}, condition=band, k=1).shape
    (2, 8, 8, 9)

    Raises:
        ValueError: For networks without these inputs, unknown losses, and
            weights that are negative or not finite.

    Reference:
        WMGM, Eq. 21 and 22
        ([arXiv:2411.09356](https://arxiv.org/abs/2411.09356)); Lin et al.,
        "Diffusion Adversarial Post-Training", section 3.4, for the penalty
        ([arXiv:2501.08316](https://arxiv.org/abs/2501.08316)).
    """

    def __init__(
        self,
        generator: keras.Model,
        critic: keras.Model | dict,
        adversarial_loss: str = "wasserstein",
        mse_weight: float = 0.1,
        ssim_weight: float = 0.0,
        adversarial_weight: float = 1.0,
        gamma: float = 1.0,
        penalty_std: float = 0.1,
        critic_input: str = "bands",
        condition_noise: float = 0.0,
        **kwargs,
    ):
        super().__init__(condition_noise, **kwargs)
        self.generator = check_network("generator", generator, {"condition"})
        self.critic, self.critic_config = None, None
        if isinstance(critic, dict):
            self.critic_config = critic
        else:
            self.critic = check_network("critic", critic, {"x"})
        self.adversarial_loss = check_choice(
            "adversarial_loss", adversarial_loss, LOSSES
        )
        self.critic_input = check_choice(
            "critic_input", critic_input, CRITIC_INPUTS
        )
        self.mse_weight = check_number("mse_weight", mse_weight, 0)
        self.ssim_weight = check_number("ssim_weight", ssim_weight, 0)
        self.adversarial_weight = check_number(
            "adversarial_weight", adversarial_weight, 0
        )
        self.gamma = check_number("gamma", gamma, 0)
        self.penalty_std = check_number(
            "penalty_std", penalty_std, 0, above=True
        )

    training_only = ("critic",)

    @property
    def networks(self) -> dict[str, keras.Model]:
        networks = {"draw": self.generator}
        if self.critic is not None:
            networks["critic"] = self.critic
        return networks

    @property
    def roles(self) -> tuple[str, ...]:
        return ("draw", "critic")

    @property
    def measures(self) -> tuple[str, ...]:
        noisy = ("spread",) if self._noise_channels else ()
        return ("std_ratio", *noisy)

    def prepare_training(self) -> None:
        """Make the critic from its configuration, unless it exists."""
        if self.critic is None:
            config = copy.deepcopy(dict(self.critic_config))
            critic = keras.saving.deserialize_keras_object(config)
            self.critic = check_network("critic", critic, {"x"})

    def check_band(self, channels: int, condition: int, k: int) -> None:
        if not condition:
            raise ValueError(
                "An AdversarialFactor draws details, given a coarse band. For "
                "the coarse band use a factor without a condition, such as "
                "`DiffusionFactor`. Received: an AdversarialFactor"
            )
        super().check_band(channels, condition, k)
        if self.critic is not None:
            image = self.critic_input == "image"
            seen = condition if image else condition + channels
            check_channels(self.critic, "x", seen)

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
        z = keras.random.normal(self._noise_shape(condition), seed=seed)
        # A network that rests keeps its state, as of batch normalization.
        fake = self._generate(condition, z, k, training and self.learns("draw"))
        training = training and self.learns("critic")

        def see(details):
            if self.critic_input == "image":
                return reconstruct(condition, details)
            return ops.concatenate([condition, details], axis=-1)

        critic_loss, adversarial = adversarial_terms(
            self.critic,
            see,
            target,
            fake,
            k,
            seed,
            training,
            self.adversarial_loss,
            self.gamma,
            self.penalty_std,
        )
        generator_loss = self.adversarial_weight * adversarial
        generator_loss = generator_loss + self._distance(
            fake, target, condition, reconstruct
        )
        losses = {"draw": generator_loss, "critic": critic_loss}
        ratio = ops.stop_gradient(rms(fake) / rms(target))
        spread = self._spread(target, condition, z, k)
        return FactorLoss(losses, ratio, spread)

    def _spread(self, target, condition, z, k):
        """Return E|f - f'|^2 / E|f - h|^2 of some images of a batch."""
        if not self._noise_channels:
            return None
        # The noise of another image, shifted in case the batch has only one.
        other = ops.roll(ops.roll(z, 1, axis=0), z.shape[1] // 2, axis=1)
        h, c, z, other = (a[:WATCHED] for a in (target, condition, z, other))
        both = (ops.concatenate(pair, axis=0) for pair in ((c, c), (z, other)))
        f, other = ops.split(self._generate(*both, k), 2, axis=0)
        return spread_of(f, other, h)

    def _generate(self, condition, z, k, training=False):
        inputs = named_inputs(self.generator, k, condition=condition, noise=z)
        fake = self.generator(inputs, training=training)
        return ops.cast(fake, "float32")

    def _noise_shape(self, condition):
        batch, height, width, _ = ops.shape(condition)
        return (batch, height, width, self._noise_channels)

    @property
    def _noise_channels(self):
        noise = self.generator.input.get("noise")
        return 0 if noise is None else noise.shape[-1]

    def _distance(self, fake, target, condition, reconstruct):
        """Return the terms of Eq. 21 that compare with the true detail."""
        distance = self.mse_weight * ops.mean((fake - target) ** 2)
        if self.ssim_weight:
            images = (reconstruct(condition, d) for d in (fake, target))
            similarity = ops.mean(ssim(*images, data_range=2.0))
            distance = distance + self.ssim_weight * (1 - similarity)
        return distance

    def noise_shapes(
        self, shape: tuple[int, int, int]
    ) -> dict[str, tuple[int, ...]]:
        return {"start": (*shape[:2], self._noise_channels)}

    def sample(
        self,
        noise: dict[str, Tensor],
        condition: Tensor | None = None,
        k: int = 0,
    ) -> Tensor:
        """Draw whitened details in one step.

        Args:
            noise: `"start"`, `(batch, height, width, noise_channels)`.
            condition: The whitened coarse band of the same level.
            k: The level.
        """
        return self._generate(condition, noise["start"], k)

    def default_optimizer(self, role: str) -> keras.optimizers.Optimizer:
        averaged = {} if role == "critic" else AVERAGED  # it never draws
        return gan_optimizer(**averaged)

    def get_preset_config(self):
        return {**self.get_config(), "build_critic": False}

    def get_config(self):
        critic = self.critic_config
        if self.critic is not None:
            critic = keras.saving.serialize_keras_object(self.critic)
        return {
            **super().get_config(),
            "generator": keras.saving.serialize_keras_object(self.generator),
            "critic": critic,
            "build_critic": self.critic is not None,
            "adversarial_loss": self.adversarial_loss,
            "critic_input": self.critic_input,
            **{name: getattr(self, name) for name in WEIGHTS},
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        # A preset describes the critic but does not hold its weights.
        build = config.pop("build_critic", True)
        names = ("generator", "critic") if build else ("generator",)
        return cls(**deserialize_networks(config, names))
