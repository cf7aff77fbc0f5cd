"""What every factor of p(x) can do."""

import math
from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_number

SMALL = 1e-8
"""What a measure is divided by at least."""

AVERAGED = {"use_ema": True, "ema_momentum": 0.999}
"""How an optimizer averages the weights of a network that draws."""


class FactorLoss(NamedTuple):
    """What a factor's `loss` gives.

    Attributes:
        losses: A scalar per network, by the network's role in the factor;
            those of roles that are not trained now may be left out. Each
            gives a gradient to its own network only, so that they can be
            summed.
        std_ratio: How the spread of what the factor draws compares with
            that of the data, as far as the loss can tell; 1 where it is
            right. `None` where it was not measured.
        spread: Whether what is drawn under one condition varies as it should:
            E|f - f'|^2 / E|f - h|^2 of two draws f, f' and the true detail h,
            0 where the noise is ignored, 1 for the true distribution. `None`
            where it was not measured.
    """

    losses: dict[str, Tensor]
    std_ratio: Tensor | None = None
    spread: Tensor | None = None


class Factor(keras.layers.Layer):
    """One factor of `p(x) = p(x_L^S) prod_k p(x_H^k | x_L^k)` (WMGM Eq. 17).

    A factor owns its networks, all of them built, and knows how to learn
    (`loss`) and how to draw (`sample`) a whitened band, alone or given a
    condition. It knows neither images nor pyramids. To write one, subclass it
    and give it `networks`, `loss`, `noise_shapes`, `sample` and, to be saved,
    `get_config` and `from_config`, as `DiffusionFactor` does.

    Args:
        condition_noise: While training, each condition gets noise of a random
            standard deviation up to this (in whitened units). A detail factor
            learns on real coarse bands and draws on generated ones, which
            this brings nearer to each other.
        **kwargs: Keras's layer arguments (`name`, `trainable`).
    """

    takes_steps = False
    """Whether `noise_shapes`, `sample` and `calls` take `num_steps` and
    `sampler`."""

    warmup_steps = 0
    """Steps in which learning rates rise at first, where recipes do not say
    otherwise."""

    training_only: tuple[str, ...] = ()
    """The roles of `networks` that only training needs. A preset has no
    weights for them."""

    def __init__(self, condition_noise: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.condition_noise = check_number(
            "condition_noise", condition_noise, low=0
        )
        self.learning = None
        # Networks come built; there is nothing left to build. Not through
        # `build`, which would lock the layer: a critic may join later.
        self.built = True

    @property
    def networks(self) -> dict[str, keras.Model]:
        """The learned networks by role; `"draw"` is the one that draws.

        What else there is may help it to learn, as a critic does, or to draw
        (`drawing`), as a guide does.
        """
        raise NotImplementedError

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of `networks`, also of those that are not there yet."""
        return tuple(self.networks)

    @property
    def measures(self) -> tuple[str, ...]:
        """What `loss` measures beside the losses: fields of `FactorLoss`."""
        return ("std_ratio",)

    @property
    def is_new(self) -> bool:
        """Whether the network that draws shows that it has learned nothing.

        Not every network does.
        """
        return False

    def drawing(self) -> tuple[keras.Model, ...]:
        """Return the networks that `sample` calls.

        No property: Keras would save weights under its name.
        """
        return (self.networks["draw"],)

    @property
    def size_multiple(self) -> int:
        """What a band's height and width must be a multiple of."""
        networks = self.drawing()
        return math.lcm(*(getattr(n, "size_multiple", 1) for n in networks))

    def learns(self, role: str) -> bool:
        """Return whether the loss of a role is wanted now.

        The model says so in `learning`, the roles that are trained; `None`
        for all. A `loss` may leave out the others.
        """
        return self.learning is None or role in self.learning

    def prepare_training(self) -> None:
        """Make what training needs and drawing does not; nothing here."""

    def check_band(self, channels: int, condition: int, k: int) -> None:
        """Refuse a band that the networks are not made for.

        Args:
            channels: Channels of the band.
            condition: Channels of the condition, 0 where there is none.
            k: The level, 0 where there is no condition.
        """
        for network in self.drawing():
            check_channels(network, "condition", condition)
            check_channels(network, None, channels)
            scales = getattr(network, "config", {}).get("num_scales")
            if scales and k > scales:
                raise ValueError(
                    f"`{network.name}` must know the scale of level {k}: give "
                    f"it `num_scales={k}` or more. "
                    f"Received: num_scales={scales}"
                )

    def loss(
        self,
        target: Tensor,
        condition: Tensor | None = None,
        k: int = 0,
        reconstruct=None,
        seed=None,
        training: bool = True,
    ) -> FactorLoss:
        """Return what is to be minimized.

        Args:
            target: The whitened band, `(batch, height, width, channels)`.
            condition: The whitened coarse band of the same level, or `None`.
            k: The level, 0 where there is no condition.
            reconstruct: Function from a whitened band of this level to the
                image in [-1, 1] that it completes.
            seed: A `keras.random.SeedGenerator`.
            training: Whether networks are in training mode.
        """
        raise NotImplementedError

    def noise_shapes(
        self, shape: tuple[int, int, int]
    ) -> dict[str, tuple[int, ...]]:
        """Return the shapes, without batch, of the noise `sample` takes.

        Args:
            shape: `(height, width, channels)` of the band.

        Returns:
            `{"start": shape}`, with `"steps"` beside it where there is noise
            at every step; `{}` for a factor that takes no noise.
        """
        raise NotImplementedError

    def sample(
        self,
        noise: dict[str, Tensor],
        condition: Tensor | None = None,
        k: int = 0,
    ) -> Tensor:
        """Draw a whitened band from standard normal noise.

        Args:
            noise: As of `noise_shapes`, with a batch.
            condition: The whitened coarse band of the same level, or `None`.
            k: The level, 0 where there is no condition.
        """
        raise NotImplementedError

    def calls(self) -> int:
        """Return how often networks are called per image."""
        return 1

    def default_optimizer(self, role: str) -> keras.optimizers.Optimizer:
        """Return a new optimizer that suits one of `networks`.

        `compile` and recipes take it where they are given nothing else.

        Args:
            role: A role of `roles`.
        """
        return keras.optimizers.Adam(1e-3, global_clipnorm=1.0, **AVERAGED)

    def corrupt(self, condition, seed, training):
        """Return the condition with the noise a training step gives it."""
        if condition is None or not training or not self.condition_noise:
            return condition
        shape = (ops.shape(condition)[0], 1, 1, 1)
        std = keras.random.uniform(shape, 0, self.condition_noise, seed=seed)
        noise = keras.random.normal(ops.shape(condition), seed=seed)
        return condition + std * noise

    def get_preset_config(self) -> dict[str, Any]:
        """Return the configuration for a preset.

        It describes the networks in `training_only`, so that training can go
        on, and has none made.
        """
        return self.get_config()

    def get_config(self):
        config = super().get_config()
        config.pop("dtype")
        return {**config, "condition_noise": self.condition_noise}


def named_inputs(network: keras.Model, k: int, **tensors: Tensor) -> dict:
    """Return the inputs `network` takes, the scale index among them."""
    batch = ops.shape(next(iter(tensors.values())))[0]
    tensors["scale"] = ops.full((batch,), float(k), dtype="float32")
    return {name: tensors[name] for name in network.input}


def deserialize_networks(config: dict, names: tuple[str, ...]) -> dict:
    """Return `config` with the networks of these names made from theirs."""
    made = {
        name: keras.saving.deserialize_keras_object(config[name])
        for name in names
        if config.get(name) is not None
    }
    return {**config, **made}


def check_network(name: str, network: Any, inputs: set[str]) -> keras.Model:
    """Return `network` if it is a model with at least these named inputs."""
    named = getattr(network, "input", None) if _is_model(network) else None
    if not isinstance(named, dict) or not inputs <= set(named):
        got = sorted(named) if isinstance(named, dict) else repr(network)
        raise ValueError(
            f"`{name}` must be a Keras model that takes a dictionary of "
            f"inputs, {sorted(inputs)} among them. Received: {got}"
        )
    return network


def check_channels(network: keras.Model, name: str | None, channels: int):
    """Refuse a network whose input has another number of channels.

    Args:
        network: The network.
        name: Name of the input; `None` for the output.
        channels: What it must have; 0 for no such input.
    """
    tensor = network.output if name is None else network.input.get(name)
    actual = 0 if tensor is None else tensor.shape[-1]
    if actual != channels:
        raise ValueError(
            f"`{network.name}` must have {channels or 'no'} channels in its "
            f"{'output' if name is None else f'input {name!r}'} to serve "
            f"this band. Received: {actual}"
        )


def _is_model(network):
    return isinstance(network, keras.Model) and network.built


def rms(x: Tensor) -> Tensor:
    """Return the root of the mean square, in float32."""
    return ops.sqrt(ops.mean(ops.square(ops.cast(x, "float32"))))
