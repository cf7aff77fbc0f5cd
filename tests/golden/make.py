"""Outputs of small networks, stored once, to be met by every backend.

Weights and inputs follow a closed form (`tests.helpers.wave`), so that the
file holds outputs only. It was made on the torch backend by

    KERAS_BACKEND=torch python -m tests.golden.make

and is to be made again only when an architecture changes on purpose.
"""

from pathlib import Path

import keras
import numpy as np
from keras import layers

from keras_wmgm import networks
from tests.helpers import fill
from tests.helpers import wave

PATH = Path(__file__).with_name("outputs.npz")
X = wave((2, 8, 12, 3))
SCALE, LOG_SNR = np.array([1.0, 2.0]), np.array([-1.5, 2.5])


def plain():
    """Return what Keras itself may compute differently by backend."""
    x = keras.Input((None, None, 3), name="x")
    h = layers.Conv2D(8, 3, strides=2, padding="same")(x)
    h = layers.GroupNormalization(4)(h)
    h = layers.UpSampling2D(interpolation="bilinear")(h)
    h = layers.MaxPooling2D()(keras.ops.silu(h))
    h = layers.Conv2D(6, 3, strides=2, padding="same")(h)
    return keras.Model({"x": x}, layers.UpSampling2D()(h)), {"x": X}


def detail_unet():
    """Return a generator with batch normalisation, on an odd size below."""
    net = networks.DetailUNet(
        3, num_scales=2, filters=(4, 6, 8), normalization="batch"
    )
    noise = wave(X.shape, 1)
    return net, {"condition": X, "noise": noise, "scale": SCALE}


def detail_critic():
    """Return a critic on a size that its strides do not divide."""
    net = networks.DetailCritic(3, num_scales=2, filters=(4, 6, 8))
    return net, {"x": X[:, :7, :9], "scale": SCALE}


def score_unet():
    """Return a score network with attention, gates and a condition."""
    net = networks.ScoreUNet(
        3,
        out_channels=4,
        condition_channels=2,
        num_scales=2,
        filters=(4, 8, 8),
        num_blocks=1,
        attention_levels=(1,),
        normalization="group",
    )
    condition = wave((*X.shape[:3], 2), 1)
    return net, {
        "x": X,
        "log_snr": LOG_SNR,
        "condition": condition,
        "scale": SCALE,
    }


CASES = {
    case.__name__: case
    for case in (plain, detail_unet, detail_critic, score_unet)
}


def compute(case):
    """Return the output of a case on this backend."""
    net, inputs = case()
    inputs = {name: x.astype("float32") for name, x in inputs.items()}
    # Compiled, which is how networks are run.
    return fill(net).predict(inputs, verbose=0)


if __name__ == "__main__":
    np.savez(PATH, **{name: compute(case) for name, case in CASES.items()})
