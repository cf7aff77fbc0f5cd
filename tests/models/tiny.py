"""Models small enough to be trained within a test."""

import keras
import numpy as np
from keras import layers

from keras_wmgm import MultiscaleModel
from keras_wmgm import factors
from keras_wmgm import networks
from tests.helpers import wave

BACKEND = keras.backend.backend()

EAGERLY = {"run_eagerly": BACKEND != "jax"}
"""How a few steps compile soonest: JAX would compile every operation alone."""

IMAGES = 0.8 * wave((16, 8, 8, 1))
PIXELS = np.rint((IMAGES + 1) * 127.5).astype("uint8")


def _image(inputs, name, channels):
    inputs[name] = keras.Input((None, None, channels), name=name)
    return inputs[name]


def score(channels, condition=0):
    """Return two convolutions that know the noise level."""
    inputs = {"log_snr": keras.Input((), name="log_snr")}
    h = _image(inputs, "x", channels)
    if condition:
        h = layers.Concatenate()([h, _image(inputs, "condition", condition)])
    level = layers.Reshape((1, 1, 1))(inputs["log_snr"])
    h = layers.Conv2D(4, 3, padding="same")(h)
    h = layers.Activation("silu")(layers.Add()([h, layers.Dense(4)(level)]))
    return keras.Model(inputs, layers.Conv2D(channels, 3, padding="same")(h))


def generator(channels):
    """Return two convolutions of a condition and noise."""
    inputs = {}
    h = [_image(inputs, name, channels) for name in ("condition", "noise")]
    h = layers.Conv2D(4, 3, padding="same")(layers.Concatenate()(h))
    h = layers.Activation("silu")(h)
    return keras.Model(inputs, layers.Conv2D(3 * channels, 1)(h))


def critic(channels, dropout=0.25):
    """Return a critic with a state: that of its dropout."""
    inputs = {}
    h = layers.Conv2D(4, 3, 2, "same")(_image(inputs, "x", channels))
    h = layers.GlobalAveragePooling2D()(layers.Activation("silu")(h))
    h = layers.Dropout(dropout, seed=1)(h)
    return keras.Model(inputs, layers.Dense(1)(h))


def gan(channels=1, dropout=0.25, **kwargs):
    """Return an adversarial factor of plain convolutions."""
    return factors.AdversarialFactor(
        generator(channels), critic(4 * channels, dropout), **kwargs
    )


def diffusion(channels=1, condition=0, **kwargs):
    """Return a diffusion factor of plain convolutions."""
    return factors.DiffusionFactor(score(channels, condition), **kwargs)


def model(num_levels=1, details=None, size=8, channels=1, **kwargs):
    """Return a model of plain convolutions, by default with a GAN."""
    if num_levels and details is None:
        details = gan(channels)
    return MultiscaleModel(
        (size, size, channels),
        num_levels,
        diffusion(channels),
        details,
        **kwargs,
    )


def mixed(**kwargs):
    """Return a model whose coarser details are drawn by diffusion."""
    return model(2, [gan(), diffusion(3, condition=1)], **kwargs)


def small_wmgm(
    num_levels=2,
    size=16,
    channels=3,
    critic_kwargs=None,
    details_scales=None,
    **kwargs,
):
    """Return a model of this package's networks."""
    return MultiscaleModel(
        (size, size, channels),
        num_levels,
        factors.DiffusionFactor(
            networks.ScoreUNet(channels, filters=(4,), num_blocks=1)
        ),
        factors.AdversarialFactor(
            networks.DetailUNet(
                channels,
                num_scales=details_scales or num_levels,
                filters=(4, 4),
                head_filters=4,
            ),
            networks.DetailCritic(
                4 * channels,
                num_scales=num_levels,
                filters=(4, 4),
                **(critic_kwargs or {}),
            ),
            **kwargs,
        ),
    )


def compiled(model, optimizer=None, **kwargs):
    """Compile a model. Return it."""
    model.compile(optimizer, **kwargs)
    return model


def copy(variable):
    """Return a variable's value; on torch NumPy would see later changes."""
    return np.array(keras.ops.convert_to_numpy(variable))


def weights(model):
    """Return copies of all weights by role, the statistics among them."""
    parts = {**model.networks, "pyramid": model.pyramid}
    return {
        role: [copy(w) for w in part.weights] for role, part in parts.items()
    }


def moments(model):
    """Return copies of each optimizer's variables, by its name."""
    return {
        optimizer.name: [copy(v) for v in optimizer.variables]
        for optimizer in model.optimizer.optimizers
    }


def assert_equal(actual, expected, tolerance=0.0):
    """Compare dictionaries of lists of arrays."""
    assert actual.keys() == expected.keys()
    for role, arrays in expected.items():
        assert len(actual[role]) == len(arrays), role
        for a, e in zip(actual[role], arrays, strict=True):
            np.testing.assert_allclose(a, e, tolerance, tolerance, err_msg=role)


def moved(actual, expected):
    """Return the roles of which some array differs."""
    return {
        role
        for role, arrays in expected.items()
        if any(
            np.any(a != e) for a, e in zip(actual[role], arrays, strict=True)
        )
    }


def learns_in_bfloat16():
    """Return whether this machine can take a step in bfloat16.

    PyTorch has no gradient of a convolution in bfloat16 for processors without
    instructions for it.
    """
    if BACKEND != "torch":
        return True
    import torch

    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def random_states(model):
    """Return the variables that hold the states of all random generators."""
    states = [v for v in model.variables if "seed_generator" in v.path]
    assert states
    return states
