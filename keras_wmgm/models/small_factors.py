"""The default factors of models, small enough for a CPU.

Their score networks have no normalization, which takes longer on a CPU than
the convolutions. The networks of details have the same weights at every size,
so that one can start from the weights of another (zoo/NOTES.md has figures).
"""

from keras_wmgm.factors.diffusion_factor import DiffusionFactor
from keras_wmgm.networks.score_unet import ScoreUNet

CONDITION_NOISE = 0.1


def coarse_diffusion(channels: int) -> DiffusionFactor:
    """Return the diffusion of a coarse band."""
    return DiffusionFactor(ScoreUNet(channels, attention_levels=(1,)))


def detail_diffusion(channels: int) -> DiffusionFactor:
    """Return the conditional diffusion of a detail band."""
    network = ScoreUNet(3 * channels, condition_channels=channels)
    return DiffusionFactor(
        network, grid="karras", condition_noise=CONDITION_NOISE
    )
