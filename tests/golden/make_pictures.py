"""Pictures of a model of closed-form weights, to be met by every backend.

The file was made on the torch backend by

    KERAS_BACKEND=torch python -m tests.golden.make_pictures

and is to be made again only when an architecture or a sampler changes on
purpose.
"""

from pathlib import Path

import keras
import numpy as np

from keras_wmgm import MultiscaleModel
from keras_wmgm import factors
from keras_wmgm import networks
from tests.helpers import fill
from tests.helpers import wave

PATH = Path(__file__).with_name("pictures.npz")
SEED = 7
CASES = {
    "dpm_solver_2m": {"num_steps": 4, "sampler": "dpm_solver_2m"},
    "euler_maruyama": {"num_steps": 8, "sampler": "euler_maruyama"},
    "ddpm_fixed_small": {"num_steps": (4, 2), "sampler": "ddpm_fixed_small"},
}


def make():
    """Return a model of three kinds of factor that needs no training."""
    size = {"filters": (4, 8)}
    score = {"num_blocks": 1, "normalization": "group", **size}
    model = MultiscaleModel(
        (16, 16, 3),
        2,
        factors.DiffusionFactor(networks.ScoreUNet(3, **score)),
        [
            factors.AdversarialFactor(
                networks.DetailUNet(3, head_filters=4, **size),
                networks.DetailCritic(12, **size),
            ),
            factors.DiffusionFactor(
                networks.ScoreUNet(9, condition_channels=3, **score)
            ),
        ],
    )
    for role, network in model.networks.items():
        fill(network)
        if role != "detail_1":
            # A score that is far from any that is learned leaves the range.
            network.weights[-2].assign(0.2 * network.get_weights()[-2])
    model.adapt(statistics())
    return model


def statistics():
    """Return images of about the spread of photographs."""
    coarse = wave((8, 4, 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return 0.4 * coarse + 0.1 * wave((8, 16, 16, 3), 1)


def pictures(model, case, **kwargs):
    """Return the pictures of a case on this backend."""
    return model.generate(
        **{"num_images": 4, "seed": SEED, "verbose": 0, **CASES[case], **kwargs}
    )


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    model = make()
    np.savez(PATH, **{case: pictures(model, case) for case in CASES})
