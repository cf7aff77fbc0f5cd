"""HybridWMGM: diffusion on the small bands, GANs on the large ones."""

from keras_wmgm.factors.factor import Factor
from keras_wmgm.models.multiscale_model import MultiscaleModel
from keras_wmgm.models.small_factors import coarse_diffusion
from keras_wmgm.models.small_factors import detail_diffusion
from keras_wmgm.models.small_factors import detail_gan
from keras_wmgm.presets.registry import presets_of
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.checks import check_counts
from keras_wmgm.utils.serialization import register

GAN_SIZE = 128


@register
class HybridWMGM(MultiscaleModel):
    """Diffusion on the small bands, a GAN on each of the large ones.

    A short configuration of `MultiscaleModel`. For the same time of training
    diffusion draws far better than a GAN, upon bands of 16x16 to 64x64 pixels
    (zoo/NOTES.md has figures); on larger ones a GAN's one step pays most. Each
    level has networks of its own, so each can be trained for as long as it
    needs.

    Args:
        image_shape: `(height, width, channels)`; 2^S must divide height and
            width.
        num_levels: The number of levels S, at least 1.
        gan_levels: How many levels, from the finest on, are drawn by GANs; by
            default those whose bands have 128 pixels or more.
        coarse: Factor of the coarse band; by default a `DiffusionFactor` over
            a `ScoreUNet`.
        details: The detail factors, that of the finest level first, instead
            of the default ones.
        seed: Seed of all that is drawn in training.
        **kwargs: Keras's model arguments (`name`).

    Raises:
        ValueError: If sizes or counts do not fit each other.

    Example:

    >>> model = keras_wmgm.HybridWMGM(image_shape=(256, 256, 3), num_levels=5)
    >>> model.network_calls(num_steps=8)  # 8 + 8 + 8 + 8 + 8 + 1
    41

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
        gan_levels: int | None = None,
        coarse: Factor | None = None,
        details: list[Factor] | None = None,
        seed: int = 0,
        **kwargs,
    ):
        image_shape = check_counts("image_shape", image_shape, min_length=3)
        check_count("num_levels", num_levels)
        height, width, *_, channels = image_shape
        sizes = [max(height, width) >> k for k in range(1, num_levels + 1)]
        if gan_levels is None:
            gan_levels = sum(size >= GAN_SIZE for size in sizes)
        if check_count("gan_levels", gan_levels, 0) > num_levels:
            raise ValueError(
                "`gan_levels` must be at most the number of levels, "
                f"{num_levels}. Received: gan_levels={gan_levels}"
            )
        if coarse is None:
            coarse = coarse_diffusion(channels)
        if details is None:
            makers = gan_levels * [detail_gan]
            makers += (num_levels - gan_levels) * [detail_diffusion]
            details = [make(channels) for make in makers]
        super().__init__(
            image_shape, num_levels, coarse, details, seed=seed, **kwargs
        )
