"""The factors that models take where none are given: small, and for a CPU.

Their score networks have no normalisation: on a CPU its passes over the
features take longer than the convolutions. Guides make up for much training
(zoo/NOTES.md has the figures of both).
"""

from keras_wmgm.factors.adversarial_factor import AdversarialFactor
from keras_wmgm.factors.diffusion_factor import DiffusionFactor
from keras_wmgm.networks.detail_critic import DetailCritic
from keras_wmgm.networks.detail_unet import DetailUNet
from keras_wmgm.networks.score_unet import ScoreUNet

CONDITION_NOISE = 0.1
ATTENTION_SIZE = 16
"""Bands of so many pixels and less get self-attention, at half their size."""
GUIDE_FILTERS = (16, 32)
GUIDANCE = {8: 1.5, 16: 1.2, 32: 1.12, 64: 1.06}
"""Guidance of bands of up to so many pixels; larger ones have no guide."""


def coarse_diffusion(channels: int, size: int | None = None) -> DiffusionFactor:
    """Return the diffusion of a coarse band; with a guide, given its size."""
    options = {"attention_levels": (1,), "normalization": None}
    guided = {} if size is None else _guided(size, channels, **options)
    return DiffusionFactor(ScoreUNet(channels, **options), **guided)


def detail_diffusion(channels: int, size: int) -> DiffusionFactor:
    """Return the conditional diffusion of a detail band of `size` pixels."""
    options = {
        "condition_channels": channels,
        "attention_levels": (1,) if size <= ATTENTION_SIZE else (),
        "normalization": None,
    }
    return DiffusionFactor(
        ScoreUNet(3 * channels, **options),
        grid="karras",
        condition_noise=CONDITION_NOISE,
        **_guided(size, 3 * channels, **options),
    )


def _guided(size, channels, **options):
    """Return the guide of a band, and how far to go beyond it.

    The larger the band, the weaker its guide is beside the network, and the
    sooner details come out too strong.
    """
    guidance = next((w for n, w in GUIDANCE.items() if size <= n), None)
    if guidance is None:
        return {}
    guide = ScoreUNet(channels, filters=GUIDE_FILTERS, **options)
    return {"guide": guide, "guidance": guidance}


def detail_gan(channels: int) -> AdversarialFactor:
    """Return the GAN of one large detail band."""
    return AdversarialFactor(
        DetailUNet(channels),
        DetailCritic(4 * channels, normalization=None),
        adversarial_loss="relativistic",
        mse_weight=0.05,
        condition_noise=CONDITION_NOISE,
    )
