import numpy as np
import pytest

from keras_wmgm.layers import AttentionGate
from keras_wmgm.layers import SelfAttention2D
from tests.helpers import fill
from tests.helpers import run_layer_test
from tests.helpers import to_numpy
from tests.helpers import wave


@pytest.mark.parametrize("normalization", ["group", "batch"])
def test_gate_is_a_layer(normalization):
    def make(dtype):
        return AttentionGate(4, normalization, dtype=dtype)

    run_layer_test(make, wave((2, 4, 4, 3)), wave((2, 4, 4, 5)))


def test_gate_is_the_formula():
    x, g = wave((2, 4, 4, 3)), wave((2, 4, 4, 5), 1)
    gate = AttentionGate(4, normalization=None)
    gate(x, g)
    w_x, b_x, w_g, b_g, w_p, b_p = (to_numpy(w) for w in fill(gate).weights)
    h = np.maximum(x @ w_x[0, 0] + b_x + g @ w_g[0, 0] + b_g, 0)
    psi = h @ w_p[0, 0] + b_p
    expected = x / (1 + np.exp(-psi))
    np.testing.assert_allclose(to_numpy(gate(x, g)), expected, 0, 1e-6)


def test_gate_holds_a_place_back_in_all_channels_alike():
    x = wave((2, 4, 4, 3))
    gate = AttentionGate(4)
    gate(x, x)
    weights = to_numpy(fill(gate)(x, x)) / x
    assert weights.min() > 0 and weights.max() < 1
    np.testing.assert_allclose(weights, weights[..., :1].repeat(3, -1), 1e-4)
    assert weights[..., 0].std() > 0.05


@pytest.mark.parametrize("size", [(4, 2), (2, 4), (8, 8)])
def test_gate_refuses_another_size(size):
    text = r"same height and width. Received: x.shape=\(1, 4, 4, 3\), gate"
    with pytest.raises(ValueError, match=text):
        AttentionGate(4)(np.ones((1, 4, 4, 3)), np.ones((1, *size, 3)))


def test_self_attention_is_a_layer():
    def make(dtype):
        return SelfAttention2D(num_heads=2, dtype=dtype)

    run_layer_test(make, wave((2, 4, 2, 8)))


def test_self_attention_knows_no_places():
    x = wave((2, 2, 4, 8))
    layer = SelfAttention2D(num_heads=2)
    layer(x)
    fill(layer)
    order = np.argsort(wave((8,), 3))
    shuffled = x.reshape(2, 8, 8)[:, order].reshape(x.shape)
    expected = to_numpy(layer(x)).reshape(2, 8, 8)[:, order].reshape(x.shape)
    np.testing.assert_allclose(to_numpy(layer(shuffled)), expected, 0, 1e-5)
    assert np.abs(expected - shuffled).max() > 0.1


def test_self_attention_mixes_places():
    x = wave((1, 2, 4, 8))
    layer = SelfAttention2D(num_heads=2)
    layer(x)
    fill(layer)
    changed = x.copy()
    changed[0, 0, 0] = -x[0, 0, 0]
    delta = np.abs(to_numpy(layer(changed)) - to_numpy(layer(x)))
    assert delta[0, 1, 3].max() > 1e-3


def test_self_attention_refuses_heads_that_do_not_divide():
    text = "must divide the channels. Received: num_heads=3, channels=8"
    with pytest.raises(ValueError, match=text):
        SelfAttention2D(num_heads=3).build((None, 4, 4, 8))


def test_self_attention_adds_to_its_input():
    x = wave((2, 2, 4, 8))
    layer = SelfAttention2D(num_heads=2)
    layer(x)
    layer.set_weights([np.zeros(w.shape) for w in layer.weights])
    np.testing.assert_array_equal(to_numpy(layer(x)), x)
