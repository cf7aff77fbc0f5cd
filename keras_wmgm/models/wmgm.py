"""WMGM: diffusion for the coarse band, one call for each detail band."""

from keras_wmgm.factors.adversarial_factor import AdversarialFactor
from keras_wmgm.factors.diffusion_factor import DiffusionFactor
from keras_wmgm.factors.diffusion_factor import as_teacher
from keras_wmgm.factors.distilled_factor import DistilledFactor
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
    """Multi-scale model whose detail bands are drawn in one call each.

    A short configuration of `MultiscaleModel`: the coarse band is drawn by
    diffusion in a few steps, and each detail band by one call of a
    conditional generator. There are two ways to learn the generators:

    - `from_teacher` makes them from a trained `WSGM`, and training distills
      its scores into them. zoo/NOTES.md has figures of how close they come.
    - By default they are learned from nothing, as in the paper: one
      conditional GAN for all levels.

    The default networks are small (see `summary()`); the paper's sizes are in
    the preset `paper_wmgm_128`.

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
        ([arXiv:2411.09356](https://arxiv.org/abs/2411.09356)); Yin et al.,
        "One-step Diffusion with Distribution Matching Distillation"
        ([arXiv:2311.18828](https://arxiv.org/abs/2311.18828)), for
        `from_teacher`.
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

    @classmethod
    def from_teacher(
        cls, teacher: MultiscaleModel, seed: int | None = None, **kwargs
    ) -> "WMGM":
        """Return a model that starts from a trained `WSGM`, to distill it.

        The detail factors are `DistilledFactor`s, which learn to draw in one
        call what the teacher's draw in many. The coarse factor is a copy of
        the teacher's; if that has a guide, the copy learns to predict what
        the network and the guide predict together, so a step takes one call;
        until `fit(images, factors="coarse")` it draws without guidance. The
        teacher itself is left as it is.

        Args:
            teacher: A model whose detail factors are `DiffusionFactor`s, with
                band statistics.
            seed: Seed of all random numbers in training; by default the
                teacher's.
            **kwargs: Keras's model arguments (`name`).

        Raises:
            ValueError: If the teacher has other detail factors, no details
                or no band statistics.

        Example:

        ```python
        teacher = keras_wmgm.WSGM.from_preset("celeba_64_wsgm")
        model = keras_wmgm.WMGM.from_teacher(teacher)
        model.compile()
        for factor in ("coarse", "detail_3", "detail_2", "detail_1"):
            model.fit(images, factors=factor, epochs=5)
        ```
        """
        check_teacher(teacher)
        _check_adapted(teacher)
        averaged = teacher.averaged
        try:
            teacher.use_average(True)
            coarse = student_of(teacher.coarse)
            details = [
                DistilledFactor.from_teacher(copy_of_factor(factor))
                for factor in teacher.detail_factors
            ]
        finally:
            teacher.use_average(averaged)
        model = cls(
            teacher.image_shape,
            teacher.num_levels,
            coarse,
            details[0] if teacher.shares_details else details,
            seed=teacher.seed if seed is None else seed,
            **kwargs,
        )
        model.pyramid.set_weights(teacher.pyramid.get_weights())
        return model


def check_teacher(teacher: MultiscaleModel) -> None:
    """Refuse a model whose details cannot be distilled."""
    if not isinstance(teacher, MultiscaleModel):
        raise ValueError(
            f"`teacher` must be a trained `WSGM`. Received: teacher={teacher!r}"
        )
    names = [type(factor).__name__ for factor in teacher.detail_factors]
    if not names or set(names) != {"DiffusionFactor"}:
        raise ValueError(
            "`teacher` must have detail factors, all `DiffusionFactor`s, as a "
            f"`WSGM` has: their scores are distilled. Received: {teacher.name} "
            f"with {', '.join(names) or 'no details'}"
        )


def _check_adapted(teacher):
    if not teacher.adapted:
        raise ValueError(
            "`teacher` must be trained: its band statistics are taken over. "
            f"Received: {teacher.name}, which has none"
        )


def copy_of_factor(factor: Factor) -> Factor:
    """Return a factor that draws the same, without what only training needs."""
    made = type(factor).from_config(factor.get_preset_config())
    if len(made.weights) == len(factor.weights):  # with a factor's own weights
        made.set_weights(factor.get_weights())
        return made
    for ours, theirs in zip(made.drawing(), factor.drawing(), strict=True):
        ours.set_weights(theirs.get_weights())
    return made


def student_of(factor: Factor) -> Factor:
    """Return a copy of a factor; a guided one is its teacher."""
    made = copy_of_factor(factor)
    if not (isinstance(factor, DiffusionFactor) and factor.is_guided):
        return made
    config = {**factor.get_preset_config(), "guide": None, "guidance": 1.0}
    student = type(factor).from_config(config)
    student.network.set_weights(factor.network.get_weights())
    student.teacher = as_teacher(made)
    return student
