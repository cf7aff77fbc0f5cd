"""WMGM: diffusion for the coarse band, one GAN for all details."""

from keras_wmgm.factors.adversarial_factor import AdversarialFactor
from keras_wmgm.factors.factor import Factor
from keras_wmgm.models.multiscale_model import MultiscaleModel
from keras_wmgm.models.small_factors import coarse_diffusion
from keras_wmgm.networks.detail_critic import DetailCritic
from keras_wmgm.networks.detail_unet import DetailUNet
from keras_wmgm.presets.registry import presets_of
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.checks import check_counts
from keras_wmgm.utils.serialization import register


@register
class WMGM(MultiscaleModel):
    """The paper's model: a score for the coarse band, a GAN for the details.

    A short configuration of `MultiscaleModel`: the coarse band is drawn by
    diffusion in a few steps, and the details of every level by one shared
    conditional GAN in one step each. The default networks are small (see
    `summary()`); the paper's sizes are in the preset `paper_wmgm_128`.

    Args:
        image_shape: `(height, width, channels)`; 2^S must divide height and
            width.
        num_levels: The number of levels S, at least 1.
        coarse: Factor of the coarse band; by default a `DiffusionFactor` over
            a `ScoreUNet`.
        details: Factor or factors of the details; by default one
            `AdversarialFactor` over a `DetailUNet` and a `DetailCritic`.
        seed: Seed of all random numbers in training.
        **kwargs: Keras's model arguments (`name`).

    Example:

    >>> model = keras_wmgm.WMGM(image_shape=(64, 64, 3), num_levels=3)
    >>> model.network_calls(num_steps=8)
    11

    Reference:
        Xiao et al., "Multi-scale Generative Modeling for Fast Sampling"
        ([arXiv:2411.09356](https://arxiv.org/abs/2411.09356)).
    """

    presets = presets_of("WMGM")

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (128, 128, 3),
        num_levels: int = 3,
        coarse: Factor | None = None,
        details: Factor | list[Factor] | None = None,
        seed: int = 0,
        **kwargs,
    ):
        channels = check_counts("image_shape", image_shape, min_length=3)[-1]
        check_count("num_levels", num_levels)
        if coarse is None:
            coarse = coarse_diffusion(channels)
        if details is None:
            details = AdversarialFactor(
                DetailUNet(channels, num_scales=num_levels),
                DetailCritic(4 * channels, num_scales=num_levels),
            )
        super().__init__(
            image_shape, num_levels, coarse, details, seed=seed, **kwargs
        )
