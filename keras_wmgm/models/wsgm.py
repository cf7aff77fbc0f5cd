"""WSGM: diffusion for the coarse band and for each detail band."""

import keras

from keras_wmgm.factors.factor import Factor
from keras_wmgm.models.multiscale_model import MultiscaleModel
from keras_wmgm.models.small_factors import coarse_diffusion
from keras_wmgm.models.small_factors import detail_diffusion
from keras_wmgm.presets.registry import presets_of
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.checks import check_counts
from keras_wmgm.utils.serialization import register


@register
class WSGM(MultiscaleModel):
    """Wavelet score-based generative model: every band is drawn by diffusion.

    A short configuration of `MultiscaleModel`. Each band is well-conditioned,
    so a few steps are enough for each. Each level has networks of its own, so
    each can be trained for as long as it needs. A trained one is the teacher
    of a `WMGM`, which draws each detail band in one call
    (`WMGM.from_teacher`).

    Args:
        image_shape: `(height, width, channels)`; 2^S must divide height and
            width.
        num_levels: The number of levels S, at least 1.
        coarse: Factor of the coarse band; by default a `DiffusionFactor` over
            a `ScoreUNet`.
        details: One factor for all levels, or a list of S factors, that of
            the finest level first; by default `DiffusionFactor`s over
            `ScoreUNet`s.
        seed: Seed of all random numbers in training.
        **kwargs: Keras's model arguments (`name`).

    Raises:
        ValueError: If sizes, counts and factors do not fit together.

    Example:

    >>> model = keras_wmgm.WSGM(image_shape=(64, 64, 3), num_levels=3)
    >>> model.network_calls(num_steps=8)  # 8 for each band
    32

    Reference:
        Guth et al., "Wavelet Score-Based Generative Modeling"
        ([arXiv:2208.05003](https://arxiv.org/abs/2208.05003)).
    """

    presets = presets_of("WSGM")

    def __init__(
        self,
        image_shape: tuple[int, int, int] = (64, 64, 3),
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
            details = [detail_diffusion(channels) for _ in range(num_levels)]
        super().__init__(
            image_shape, num_levels, coarse, details, seed=seed, **kwargs
        )


# Files of the first version name the class so.
keras.saving.get_custom_objects()["keras_wmgm>HybridWMGM"] = WSGM
