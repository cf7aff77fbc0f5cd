"""The multi-scale model."""

from typing import Any

import keras

from keras_wmgm.factors.factor import Factor
from keras_wmgm.models.compiling import Compiling
from keras_wmgm.models.generation import Generation
from keras_wmgm.models.learning import Learning
from keras_wmgm.models.saving import Saving
from keras_wmgm.models.sharing import Sharing
from keras_wmgm.models.upscaling import Upscaling
from keras_wmgm.models.wavelet_pyramid import WaveletPyramid
from keras_wmgm.training.parts import Parts
from keras_wmgm.types import Tensor
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.images import as_pixels
from keras_wmgm.utils.serialization import register


@register
class MultiscaleModel(
    Compiling, Learning, Generation, Upscaling, Saving, Sharing, keras.Model
):
    """A generative model of images, factorized over their Haar pyramid.

        p(x) = p(x_L^S) prod_{k=S..1} p(x_H^k | x_L^k)      (WMGM, Eq. 17)

    A `Factor` of any kind learns and draws each factor on the right. One
    detail factor may serve all levels, or each level has its own. Calling the
    model on images returns their whitened bands; `generate` draws images.

    Args:
        image_shape: `(height, width, channels)`; 2^S must divide height and
            width.
        num_levels: The number of levels S; 0 for a model of the pixels.
        coarse: The factor of `x_L^S`, without a condition.
        details: One factor for all levels, or a list of S factors, the
            finest level (k = 1) first; `None` if S is 0.
        seed: Seed of all random numbers in training.
        **kwargs: Keras's model arguments (`name`).

    Raises:
        ValueError: If sizes, counts and factors do not fit together.

    Example:

    A conditional GAN for the fine details and diffusion for the rest:

    >>> from keras_wmgm import factors, networks
    >>> size = {"filters": (8, 16)}
    >>> model = keras_wmgm.MultiscaleModel(
    ...     image_shape=(32, 32, 3),
    ...     num_levels=2,
    ...     coarse=factors.DiffusionFactor(
    ...         networks.ScoreUNet(3, num_blocks=1, **size)),
    ...     details=[
    ...         factors.AdversarialFactor(
    ...             networks.DetailUNet(3, **size),
    ...             networks.DetailCritic(12, **size)),
    ...         factors.DiffusionFactor(networks.ScoreUNet(
    ...             9, condition_channels=3, num_blocks=1, **size))])
    >>> sorted(model.networks)
    ['coarse', 'critic_1', 'detail_1', 'detail_2']
    >>> model.adapt(np.random.default_rng(0).uniform(-1, 1, (8, 32, 32, 3)))
    >>> model.generate(2, num_steps=2, seed=0, verbose=0).shape
    (2, 32, 32, 3)

    Reference:
        Xiao et al., "Multi-scale Generative Modeling for Fast Sampling"
        ([arXiv:2411.09356](https://arxiv.org/abs/2411.09356)).
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_levels: int,
        coarse: Factor,
        details: Factor | list[Factor] | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.autocast = False  # images stay as exact as they come
        self.pyramid = WaveletPyramid(image_shape, num_levels, name="pyramid")
        self.image_shape = self.pyramid.image_shape
        self.num_levels = self.pyramid.num_levels
        self.seed = check_count("seed", seed, minimum=0)
        self.coarse = _check_factor("coarse", coarse)
        shared = self.num_levels > 0 and isinstance(details, Factor)
        self.shares_details = shared
        self.detail_factors = _check_details(details, self.num_levels)
        self.parts = Parts(
            self.coarse, self.detail_factors, self.num_levels, shared
        )
        self._check_bands()
        self._init_learning(self.seed)
        self._init_generation()
        self.build((None, *self.image_shape))

    def build(self, input_shape):
        """Do nothing: factors and pyramid are built already."""

    # The parts

    @property
    def details(self) -> list[Factor]:
        """The detail factor of each level, k = 1 first."""
        if self.shares_details:
            return list(self.detail_factors) * self.num_levels
        return list(self.detail_factors)

    @property
    def factors(self) -> dict[str, Factor]:
        """The factors by name, coarse first: `"coarse"`, `"detail"`, or
        `"detail_1"`, ... where not shared."""
        return {part.name: part.factor for part in self.parts}

    @property
    def networks(self) -> dict[str, keras.Model]:
        """The learned networks by role: `"coarse"`, `"guide_coarse"`,
        `"detail"`, `"critic"`, `"guide"`; `"detail_1"`, `"critic_1"`, ...
        where not shared."""
        return {role.name: role.network for role in self.parts.present}

    def _check_bands(self):
        """Refuse networks that do not fit their bands or are used twice."""
        height, width, channels = self.image_shape
        bands = [(self.coarse, self.num_levels, channels, 0, 0)]
        for k, factor in enumerate(self.details, start=1):
            bands.append((factor, k, 3 * channels, channels, k))
        for factor, level, own, condition, k in bands:
            factor.check_band(own, condition, k)
            multiple = factor.size_multiple
            size = (height >> level, width >> level)
            if any(s % multiple for s in size):
                raise ValueError(
                    f"`{factor.networks['draw'].name}` needs a height and a "
                    f"width that are multiples of {multiple}; use fewer "
                    "levels in the model or the network. Received: a band of "
                    f"{size[0]}x{size[1]} at level {level} of "
                    f"image_shape={self.image_shape}"
                )
        self._check_distinct()

    def _check_distinct(self):
        factors = [self.coarse, *self.detail_factors]
        networks = [n for f in factors for n in f.networks.values()]
        for things, what in ((factors, "factor"), (networks, "network")):
            if len({id(thing) for thing in things}) != len(things):
                raise ValueError(
                    f"A {what} must not be used twice in a model: give one "
                    "factor for all levels, or one for each. "
                    f"Received: {[thing.name for thing in things]}"
                )

    # Statistics

    @property
    def adapted(self) -> bool:
        """Whether the band statistics have been found or loaded."""
        return self.pyramid.adapted

    def adapt(self, data: Any, batch_size: int = 64) -> None:
        """Find the statistics of every band; see `WaveletPyramid.adapt`.

        `fit` does this if it has not been done yet and if the data can be
        read twice.
        """
        self.pyramid.adapt(data, batch_size)

    def call(self, images: Tensor):
        return self.pyramid(as_pixels(images))

    # Configuration

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        details = [serialize(factor) for factor in self.detail_factors]
        if self.shares_details:
            details = details[0]
        return {
            "name": self.name,
            "image_shape": self.image_shape,
            "num_levels": self.num_levels,
            "coarse": serialize(self.coarse),
            "details": details or None,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        config = dict(config)
        for key in ("coarse", "details"):
            if config.get(key) is not None:
                config[key] = deserialize(config[key])
        return cls(**config)


def _check_factor(name, factor):
    if not isinstance(factor, Factor):
        raise ValueError(
            f"`{name}` must be a `keras_wmgm.factors.Factor`. "
            f"Received: {name}={factor!r}"
        )
    return factor


def _check_details(details, num_levels):
    """Return the distinct detail factors as a list."""
    if isinstance(details, Factor) and num_levels:
        return [details]
    given = [] if details is None else details
    if not isinstance(given, (list, tuple)) or len(given) != num_levels:
        raise ValueError(
            f"`details` must be one factor for all levels or a list of "
            f"{num_levels} factors, the finest level first. "
            f"Received: details={details!r}"
        )
    return [_check_factor("details", factor) for factor in given]
