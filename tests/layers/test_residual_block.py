import functools

import numpy as np
import pytest

from keras_wmgm.layers import ResidualBlock
from tests.helpers import fill
from tests.helpers import run_layer_test
from tests.helpers import to_numpy
from tests.helpers import wave

X, EMBEDDING = wave((2, 4, 4, 4)), wave((2, 16))


@pytest.mark.parametrize(
    "inputs, arguments",
    [
        ((X, EMBEDDING), {"filters": 4}),
        ((X,), {"filters": 6, "strides": 2, "normalization": None}),
        (
            (X, EMBEDDING),
            {
                "filters": 6,
                "mid_filters": 5,
                "strides": 2,
                "normalization": "batch",
                "activation": "leaky_relu",
                "preactivation": False,
                "normalize_shortcut": True,
                "dropout": 0.2,
            },
        ),
    ],
    ids=["preactivation", "strided", "postactivation"],
)
def test_block_is_a_layer(inputs, arguments):
    run_layer_test(functools.partial(ResidualBlock, **arguments), *inputs)


def test_new_preactivation_block_is_the_identity():
    np.testing.assert_array_equal(to_numpy(ResidualBlock(4)(X, EMBEDDING)), X)


def test_new_preactivation_block_is_its_shortcut():
    block = ResidualBlock(6, strides=2)
    y = block(X)
    np.testing.assert_array_equal(
        to_numpy(y), to_numpy(block.shortcut(X[:, ::2, ::2]))
    )


def test_postactivation_block_activates_the_sum():
    block = ResidualBlock(4, activation="relu", preactivation=False)
    assert not np.array_equal(to_numpy(block(X)), np.maximum(X, 0))
    block.conv_2.kernel.assign(np.zeros((3, 3, 4, 4)))
    np.testing.assert_allclose(to_numpy(block(X)), np.maximum(X, 0), 0, 1e-6)


def made(**arguments):
    """Return a block of 1x1 places, whose kernels act by their centre only."""
    block = ResidualBlock(
        3, mid_filters=2, normalization=None, activation="silu", **arguments
    )
    block.build((None, 1, 1, 3), (None, 16))
    return fill(block)


def silu(x):
    return x / (1 + np.exp(-x))


@pytest.mark.parametrize("preactivation", [True, False])
def test_embedding_scales_and_shifts_between_the_convolutions(preactivation):
    block = made(preactivation=preactivation)
    x = wave((2, 1, 1, 3))

    def conv(layer, h):
        return h @ to_numpy(layer.kernel)[1, 1] + to_numpy(layer.bias)

    change = silu(EMBEDDING) @ to_numpy(block.modulation.kernel)
    change = (change + to_numpy(block.modulation.bias))[:, None, None]
    scale, shift = change[..., :2], change[..., 2:]
    h = silu(x) if preactivation else x
    h = silu(conv(block.conv_1, h) * (1 + scale) + shift)
    expected = x + conv(block.conv_2, h)
    if not preactivation:
        expected = silu(expected)
    np.testing.assert_allclose(to_numpy(block(x, EMBEDDING)), expected, 0, 1e-5)


@pytest.mark.parametrize(
    "arguments, has_bias",
    [
        ({}, True),
        ({"normalize_shortcut": True}, False),
        ({"preactivation": False}, False),
    ],
)
def test_shortcut_has_a_bias_unless_normalised_or_the_papers(
    arguments, has_bias
):
    block = ResidualBlock(6, **arguments)
    block.build((None, 4, 4, 3))
    assert block.shortcut.use_bias == has_bias


def test_normalize_shortcut_normalises_it():
    block = ResidualBlock(4, strides=2, normalize_shortcut=True)
    y = to_numpy(block(X))  # the shortcut alone, see above
    # Four channels are four groups: each has mean 0 and deviation 1.
    np.testing.assert_allclose(y.mean(axis=(1, 2)), 0, 0, 1e-5)
    np.testing.assert_allclose(y.std(axis=(1, 2)), 1, 0, 0.05)


def test_strides_round_sizes_up():
    block = ResidualBlock(2, strides=2)
    y = block(np.ones((1, 5, 4, 2)))
    assert tuple(y.shape) == (1, 3, 2, 2)
    assert block.compute_output_shape((1, 5, 1, 2)) == (1, 3, 1, 2)


def test_dropout_is_at_work_in_training_only():
    block = ResidualBlock(4, dropout=0.5)
    block.build(X.shape)
    fill(block)
    once, again = to_numpy(block(X)), to_numpy(block(X))
    np.testing.assert_array_equal(once, again)
    assert not np.allclose(once, to_numpy(block(X, training=True)))
