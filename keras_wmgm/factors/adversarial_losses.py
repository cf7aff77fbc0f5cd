"""Adversarial losses: from D(real) and D(fake) to both networks' losses."""

from keras import ops

from keras_wmgm.types import Tensor


def wasserstein(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses of critic and generator (WMGM, Eq. 22 and 21)."""
    return ops.mean(fake - real), -ops.mean(fake)


def relativistic(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses of relativistic pairing.

    Jolicoeur-Martineau ([arXiv:1807.00734](https://arxiv.org/abs/1807.00734));
    Huang et al. ([arXiv:2501.05441](https://arxiv.org/abs/2501.05441)).
    """
    critic = ops.mean(ops.softplus(fake - real))
    return critic, ops.mean(ops.softplus(real - fake))


def hinge(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Return the hinge losses.

    Lim and Ye ([arXiv:1705.02894](https://arxiv.org/abs/1705.02894)).
    """
    critic = ops.mean(ops.relu(1 - real)) + ops.mean(ops.relu(1 + fake))
    return critic, -ops.mean(fake)


LOSSES = {
    "wasserstein": wasserstein,
    "relativistic": relativistic,
    "hinge": hinge,
}
"""The losses by name."""
