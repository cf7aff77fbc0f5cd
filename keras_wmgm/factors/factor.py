"""The base class of the factors of p(x)."""

import math
from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_number

SMALL = 1e-8
"""The least that a measure is divided by."""

WATCHED = 4
"""Images of a batch that are drawn twice, to measure the effect of noise."""

AVERAGED = {"use_ema": True, "ema_momentum": 0.999}
"""How an optimizer averages the weights of a network that draws."""


class FactorLoss(NamedTuple):
    """The losses and measures that a factor's `loss` returns.

    Attributes:
        losses: A scalar per network, by the network's role in the factor.
            Roles that are not trained now may be missing. Each loss gives a
            gradient to its own network only, so they can be summed.
        std_ratio: The ratio of the spread of the factor's draws to that of
            the data, as far as the loss can tell; 1 is right. `None` if it
            was not measured.
        spread: Whether draws under one condition vary as they should:
            E|f - f'|^2 / E|f - h|^2 of two draws f, f' and the true detail h,
            0 if the noise is ignored, 1 for the true distribution. `None` if
            it was not measured.
    """

    losses: dict[str, Tensor]
    std_ratio: Tensor | None = None
    spread: Tensor | None = None


class Factor(keras.layers.Layer):
    """One factor of `p(x) = p(x_L^S) prod_k p(x_H^k | x_L^k)` (WMGM Eq. 17).

    A factor owns its networks, which are built. It learns (`loss`) and draws
    (`sample`) a whitened band, with or without a condition. It knows nothing
    of images and pyramids. To write one, subclass this class and implement
    `networks`, `loss`, `noise_shapes`, `sample` and, for saving, `get_config`
    and `from_config`, as in `DiffusionFactor`.

    Args:
        condition_noise: In training, each condition gets noise of a random
            standard deviation up to this (in whitened units). A detail factor
            learns on real coarse bands and draws on generated ones; the noise
            makes the two more alike.
        **kwargs: Keras's layer arguments (`name`, `trainable`).
    """

    takes_steps = False
    """Whether `noise_shapes`, `sample` and `calls` take `num_steps` and
    `sampler`."""

    warmup_steps = 0
    """Steps in which learning rates rise at first, unless a recipe sets
    another number."""

    training_only: tuple[str, ...] = ()
    """The roles of `networks` that only training needs. Presets hold no
    weights of them."""

    frozen: tuple[str, ...] = ()
    """The roles of `networks` that never learn, such as a teacher."""

    def __init__(self, condition_noise: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.condition_noise = check_number(
            "condition_noise", condition_noise, low=0
        )
        self.learning = None
        # The networks are built already. `build` would lock the layer, and a
        # critic may be added later.
        self.built = True

    @property
    def networks(self) -> dict[str, keras.layers.Layer]:
        """The networks by role; `"draw"` is the one that draws.

        Other networks help it to learn, as a critic or a teacher does, or to
        draw (`drawing`), as a guide does.
        """
        raise NotImplementedError

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of `networks`, including those not made yet."""
        return tuple(self.networks)

    @property
    def measures(self) -> tuple[str, ...]:
        """The fields of `FactorLoss` that `loss` sets besides the losses."""
        return ("std_ratio",)

    @property
    def is_new(self) -> bool:
        """Whether the drawing network is known to have learned nothing.

        For many networks this cannot be seen, and it is `False`.
        """
        return False

    def drawing(self) -> tuple[keras.Model, ...]:
        """Return the networks that `sample` calls.

        This is not a property, as Keras would save weights under its name.
        """
        return (self.networks["draw"],)

    @property
    def size_multiple(self) -> int:
        """The height and width of a band must be multiples of this."""
        networks = self.drawing()
        return math.lcm(*(getattr(n, "size_multiple", 1) for n in networks))

    def learns(self, role: str) -> bool:
        """Return whether the loss of a role is needed now.

        The model sets `learning` to the roles that are trained, or to `None`
        for all. A `loss` may leave out the others.
        """
        return self.learning is None or role in self.learning

    def prepare_training(self) -> None:
        """Make the networks that only training needs; none by default."""

    def check_training(self) -> None:
        """Refuse to learn if something that learning needs is missing.

        Raises:
            ValueError: If so; it says what to do.
        """

    def check_band(self, channels: int, condition: int, k: int) -> None:
        """Refuse a band that does not fit the networks.

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
                    f"`{network.name}` must serve level {k}: make it with "
                    f"`num_scales={k}` or more. "
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
        """Return the losses to minimize, and what was measured.

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
            `{"start": shape}`, and `"steps"` too if every step takes noise;
            `{}` for a factor without noise.
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
        """Return a new default optimizer for one of `networks`.

        `compile` and recipes use it unless they are given another.

        Args:
            role: A role of `roles`.
        """
        return keras.optimizers.Adam(1e-3, global_clipnorm=1.0, **AVERAGED)

    def corrupt(self, condition, seed, training):
        """Return the condition with the noise of a training step."""
        if condition is None or not training or not self.condition_noise:
            return condition
        shape = (ops.shape(condition)[0], 1, 1, 1)
        std = keras.random.uniform(shape, 0, self.condition_noise, seed=seed)
        noise = keras.random.normal(ops.shape(condition), seed=seed)
        return condition + std * noise

    def get_preset_config(self) -> dict[str, Any]:
        """Return the configuration for a preset.

        A loaded preset does not hold the networks in `training_only`. If
        `compile` is to make them anew, the configuration describes them.
        """
        return self.get_config()

    def get_config(self):
        config = super().get_config()
        config.pop("dtype")
        return {**config, "condition_noise": self.condition_noise}


def named_inputs(network: keras.Model, k: int, **tensors: Tensor) -> dict:
    """Return the inputs that `network` takes, such as the scale index."""
    tensors = {
        name: ops.convert_to_tensor(tensor)
        for name, tensor in tensors.items()
        if tensor is not None
    }
    batch = ops.shape(next(iter(tensors.values())))[0]
    tensors["scale"] = ops.full((batch,), float(k), dtype="float32")
    return {name: tensors[name] for name in network.input}


def deserialize_networks(config: dict, names: tuple[str, ...]) -> dict:
    """Return `config` with these networks made from their configurations."""
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
            f"inputs with the keys {sorted(inputs)}. Received: {got}"
        )
    return network


def check_channels(network: keras.Model, name: str | None, channels: int):
    """Refuse a network whose input has another number of channels.

    Args:
        network: The network.
        name: Name of the input; `None` for the output.
        channels: The right number; 0 for no such input.
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


def freeze_layer(layer: keras.layers.Layer) -> None:
    """Make a layer, and all layers in it, learn nothing."""
    # TensorFlow passes over a value that is there already, as after loading,
    # and then the layers within would not learn of it.
    layer.trainable = True
    layer.trainable = False


def rms(x: Tensor) -> Tensor:
    """Return the root of the mean square, in float32."""
    return ops.sqrt(ops.mean(ops.square(ops.cast(x, "float32"))))


def spread_of(f: Tensor, other: Tensor, h: Tensor) -> Tensor:
    """Return `E|f - f'|^2 / E|f - h|^2`; see `FactorLoss`.

    Args:
        f: Draws under some conditions.
        other: Other draws under the same conditions.
        h: The true details.
    """
    distance = ops.maximum(ops.mean((f - h) ** 2), SMALL)
    return ops.stop_gradient(ops.mean((f - other) ** 2) / distance)
