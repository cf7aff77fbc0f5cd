"""HybridWMGM: diffusion on the small bands, GANs on the large ones."""

from keras_wmgm.factors.adversarial_factor import AdversarialFactor
from keras_wmgm.factors.diffusion_factor import DiffusionFactor
from keras_wmgm.factors.factor import Factor
from keras_wmgm.models.multiscale_model import MultiscaleModel
from keras_wmgm.networks.detail_critic import DetailCritic
from keras_wmgm.networks.detail_unet import DetailUNet
from keras_wmgm.networks.score_unet import ScoreUNet
from keras_wmgm.presets.registry import presets_of
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.checks import check_counts
from keras_wmgm.utils.serialization import register

CONDITION_NOISE = 0.1


@register
class HybridWMGM(MultiscaleModel):
    """Diffusion on the small bands, a GAN on each of the large ones.

    A short configuration of `MultiscaleModel`. On a band of 8x8 or 16x16
    pixels a few steps of diffusion cost next to nothing and draw better than
    a GAN; on the large ones a GAN's one step pays most. Each level has
    networks of its own, so each can be trained for as long as it needs.

    Args:
        image_shape: `(height, width, channels)`; 2^S must divide height and
            width.
        num_levels: The number of levels S, at least 1.
        gan_levels: How many levels, from the finest on, are drawn by GANs.
        coarse: Factor of the coarse band; by default a `DiffusionFactor` over
            a `ScoreUNet`.
        details: The detail factors, that of the finest level first, instead
            of the default ones.
        seed: Seed of all that is drawn in training.
        **kwargs: Keras's model arguments (`name`).

    Raises:
        ValueError: If sizes or counts do not fit each other.

    Example:

    >>> model = keras_wmgm.HybridWMGM(image_shape=(64, 64, 3), num_levels=3)
    >>> model.network_calls(num_steps=8)  # 8 + 8 + 8 + 1
    25

    Reference:
        Xiao et al., "Multi-scale Generative Modeling for Fast Sampling"
        ([arXiv:2411.09356](https://arxiv.org/abs/2411.09356)), whose factors
        these are; Guth et al., "Wavelet Score-Based Generative Modeling"
        ([arXiv:2208.05003](https://arxiv.org/abs/2208.05003)), for detail
        bands drawn by conditional diffusion.
    """

    presets = presets_of("HybridWMGM")

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (64, 64, 3),
        num_levels: int = 3,
        gan_levels: int = 1,
        coarse: Factor | None = None,
        details: list[Factor] | None = None,
        seed: int = 0,
        **kwargs,
    ):
        channels = check_counts("image_shape", image_shape, min_length=3)[-1]
        check_count("num_levels", num_levels)
        if check_count("gan_levels", gan_levels, 0) > num_levels:
            raise ValueError(
                "`gan_levels` must be at most the number of levels, "
                f"{num_levels}. Received: gan_levels={gan_levels}"
            )
        if coarse is None:
            coarse = DiffusionFactor(ScoreUNet(channels, attention_levels=(1,)))
        if details is None:
            gans = [_gan(channels) for _ in range(gan_levels)]
            rest = range(num_levels - gan_levels)
            details = [*gans, *(_diffusion(channels) for _ in rest)]
        super().__init__(
            image_shape, num_levels, coarse, details, seed=seed, **kwargs
        )


def _gan(channels):
    return AdversarialFactor(
        DetailUNet(channels),
        DetailCritic(4 * channels, normalization=None),
        adversarial_loss="relativistic",
        mse_weight=0.05,
        condition_noise=CONDITION_NOISE,
    )


def _diffusion(channels):
    network = ScoreUNet(
        3 * channels, condition_channels=channels, attention_levels=(1,)
    )
    return DiffusionFactor(network, condition_noise=CONDITION_NOISE)
