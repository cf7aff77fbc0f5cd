"""A kernel's step is orthogonal, and Adam's part is Adam."""

import keras
import numpy as np
import pytest

from keras_wmgm.optimizers import ConvMuon

RATE = 0.01
SHAPES = {
    "kernel": (3, 3, 16, 32),
    "wide": (1, 1, 16, 48),
    "dense": (64, 16),
    "first": (3, 3, 12, 32),
    "last": (3, 3, 32, 9),
    "heads": (16, 4, 16),
    "bias": (32,),
}


def values(seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(size=shape).astype("float32")
        for name, shape in SHAPES.items()
    }


def stepped(optimizer, count=1):
    """Return what some steps of the same gradients add to variables."""
    start = values(0)
    variables = [keras.Variable(v) for v in start.values()]
    optimizer.build(variables)
    for step in range(count):
        gradients = values(step + 1).values()
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients])
    return {
        name: keras.ops.convert_to_numpy(variable) - start[name]
        for name, variable in zip(start, variables, strict=True)
    }


@pytest.mark.parametrize("name", ["kernel", "wide", "dense"])
def test_the_step_of_a_kernel_is_orthogonal(name):
    change = stepped(ConvMuon(RATE))[name].reshape(-1, SHAPES[name][-1])
    gradient = values(1)[name].reshape(change.shape)
    u, _, v = np.linalg.svd(gradient, full_matrices=False)
    size = RATE * 0.2 * max(change.shape) ** 0.5
    # In the directions of the gradient, and of the same size in each: the
    # iteration comes within a third of 1.
    gains = np.diag(u.T @ change @ v.T) / -size
    assert np.all((gains > 0.65) & (gains < 1.25))
    rest = change / -size - u @ np.diag(gains) @ v
    np.testing.assert_allclose(rest, 0, atol=1e-3)


@pytest.mark.parametrize("name", ["first", "last", "heads", "bias"])
def test_the_rest_is_stepped_by_adam(name):
    mine = stepped(ConvMuon(RATE, adam_lr_ratio=0.5), count=3)
    adam = stepped(keras.optimizers.Adam(0.5 * RATE), count=3)
    np.testing.assert_allclose(mine[name], adam[name], rtol=1e-4, atol=1e-6)


def test_a_step_in_bfloat16_is_nearly_the_same(mixed_bfloat16):
    change = stepped(ConvMuon(RATE))["kernel"].reshape(-1, 32)
    size = RATE * 0.2 * len(change) ** 0.5
    gains = np.linalg.svd(change / size, compute_uv=False)
    assert np.all((gains > 0.6) & (gains < 1.3))


def test_small_gradients_have_steps_as_large(mixed_bfloat16):
    variable = keras.Variable(np.zeros((3, 3, 16, 32), "float32"))
    optimizer = ConvMuon(RATE)
    optimizer.build([variable])
    gradient = 1e-12 * values(1)["kernel"]
    optimizer.apply([keras.ops.convert_to_tensor(gradient)])
    step = keras.ops.convert_to_numpy(variable)
    assert 0.1 < np.sqrt(np.mean(step**2)) / RATE < 0.3


def test_layers_can_be_left_to_adam():
    kernel = keras.Variable(np.zeros((3, 3, 16, 16)), name="embedding")
    assert not ConvMuon()._should_use_adamw(kernel)
    assert ConvMuon(exclude_embeddings=True)._should_use_adamw(kernel)
    assert ConvMuon(exclude_layers=["bedd"])._should_use_adamw(kernel)
    assert not ConvMuon(exclude_layers=["other"])._should_use_adamw(kernel)


def test_weights_do_not_decay_unless_told_to():
    decayed = stepped(ConvMuon(RATE, weight_decay=0.5))["kernel"]
    plain = stepped(ConvMuon(RATE))["kernel"]
    expected = -RATE * 0.5 * values(0)["kernel"]
    np.testing.assert_allclose(decayed - plain, expected, atol=1e-6)


def test_it_is_made_anew_from_its_configuration():
    made = ConvMuon(RATE, adam_lr_ratio=0.5, ns_steps=4, use_ema=True)
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(made)
    )
    assert type(copy) is ConvMuon and copy.get_config() == made.get_config()
    assert copy.adam_lr_ratio == 0.5 and copy.ns_steps == 4
