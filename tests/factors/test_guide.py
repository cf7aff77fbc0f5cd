import keras
import numpy as np
import pytest
from keras import ops

from keras_wmgm import factors
from tests.factors.test_diffusion_factor import Scores
from tests.helpers import fill
from tests.helpers import to_numpy
from tests.helpers import wave
from tests.models import tiny


class Times(keras.layers.Layer):
    """A velocity that is a multiple of x."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x, log_snr):
        return self.factor * x


def network(layer):
    x = keras.Input((None, None, 2), name="x")
    log_snr = keras.Input((), name="log_snr")
    return keras.Model({"x": x, "log_snr": log_snr}, layer(x, log_snr))


def drawn(factor, num_steps=5):
    noise = {"start": ops.convert_to_tensor(wave((2, 4, 4, 2)))}
    return to_numpy(factor.sample(noise, num_steps=num_steps))


@pytest.mark.parametrize("guidance", [0.0, 0.5, 1.0, 1.5, 3.0])
def test_guidance_goes_beyond_the_network(guidance):
    strong, weak = 0.3, 0.1
    factor = factors.DiffusionFactor(
        network(Times(strong)), guide=network(Times(weak)), guidance=guidance
    )
    meant = weak + guidance * (strong - weak)
    expected = drawn(factors.DiffusionFactor(network(Times(meant))))
    np.testing.assert_allclose(drawn(factor), expected, 1e-4, 1e-5)


def test_a_guide_that_knows_as_much_changes_nothing():
    plain = factors.DiffusionFactor(network(Scores(0.6)))
    guided = factors.DiffusionFactor(
        network(Scores(0.6)), guide=network(Scores(0.6)), guidance=2.0
    )
    np.testing.assert_allclose(drawn(guided), drawn(plain), 1e-5, 1e-6)


def test_what_two_networks_share_of_a_fault_is_undone():
    """Both draw too narrow a law, the guide twice as much so."""

    def factor(**kwargs):
        return factors.DiffusionFactor(network(Scores(0.9)), **kwargs)

    rng = np.random.default_rng(0)
    start = rng.standard_normal((64, 8, 8, 2)).astype("float32")
    noise = {"start": ops.convert_to_tensor(start)}
    narrow = to_numpy(factor().sample(noise, num_steps=16)).std()
    guide = network(Scores(0.8))
    guided = to_numpy(
        factor(guide=guide, guidance=2.0).sample(noise, num_steps=16)
    ).std()
    assert abs(narrow - 0.9) < 0.02 and abs(guided - 1) < 0.03


def losses(factor, target, learning=None):
    factor.learning = learning
    seed = keras.random.SeedGenerator(3)
    found = factor.loss(ops.convert_to_tensor(target), seed=seed)
    return {role: float(to_numpy(v)) for role, v in found.losses.items()}


def test_only_the_roles_that_learn_have_a_loss():
    factor = tiny.diffusion(2, guide=tiny.score(2))
    fill(factor.network)
    factor.guide.set_weights(factor.network.get_weights())
    target = wave((16, 4, 4, 2))
    both = losses(factor, target)
    alone = losses(factor, target, {"guide"})
    assert alone == {"guide": pytest.approx(both["draw"], 1e-5)}
    assert losses(factor, target, {"draw"}) == {"draw": both["draw"]}
    # Beside the network it has noise and noise levels of its own.
    assert set(both) == {"draw", "guide"}
    assert abs(both["guide"] - both["draw"]) > 1e-5


def test_calls_count_those_of_the_guide():
    guide = tiny.score(1)
    assert tiny.diffusion().calls(8) == 8
    assert tiny.diffusion(guide=guide, guidance=1.0).calls(8) == 8
    assert tiny.diffusion(guide=guide, guidance=1.5).calls(8) == 16


def test_configuration_comes_back():
    factor = tiny.diffusion(2, guide=tiny.score(2), guidance=1.3)
    twin = factors.DiffusionFactor.from_config(factor.get_config())
    assert twin.guidance == 1.3
    fill(factor.network)
    fill(factor.guide, offset=9)
    twin.network.set_weights(factor.network.get_weights())
    twin.guide.set_weights(factor.guide.get_weights())
    np.testing.assert_array_equal(drawn(twin), drawn(factor))
    assert tiny.diffusion().get_config()["guide"] is None


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"guidance": -1.0}, "guidance"),
        ({"temperature": 0.0}, "temperature"),
        ({"guidance": 1.5}, "needs a guide"),
        ({"guide": "small"}, "`guide` must be a Keras model"),
        ({"guide": tiny.generator(2)}, "dictionary of inputs"),
    ],
)
def test_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        tiny.diffusion(2, **kwargs)


def test_a_guide_of_another_band_is_refused():
    with pytest.raises(ValueError, match="must have 2 channels"):
        tiny.diffusion(2, guide=tiny.score(1)).check_band(2, 0, 0)
