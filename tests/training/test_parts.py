"""Parts and roles: who is called what, and who learns."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_wmgm
from keras_wmgm import factors
from tests.models import tiny

FIT = {"x": tiny.IMAGES, "batch_size": 8, "verbose": 0}


@keras.saving.register_keras_serializable(package="tests")
class Scaled(factors.Factor):
    """Details that are a network's, times a weight of the factor's own.

    Its second network, `error_size`, learns how far the details are off.
    """

    def __init__(self, network, error_size, **kwargs):
        super().__init__(**kwargs)
        self.network, self.error_size = network, error_size
        self.gain = self.add_weight(name="gain", shape=(), initializer="ones")

    @property
    def networks(self):
        return {"draw": self.network, "error_size": self.error_size}

    def loss(self, target, condition, seed=None, training=True, **unused):
        drawn = self.gain * self.network({"condition": condition})
        size = self.error_size({"condition": condition})
        error = ops.stop_gradient(drawn - target) ** 2
        return factors.FactorLoss(
            {
                "draw": ops.mean((drawn - target) ** 2),
                "error_size": ops.mean((size - error) ** 2),
            }
        )

    def noise_shapes(self, shape):
        return {}

    def sample(self, noise, condition, k):
        assert noise == {}
        return self.gain * self.network({"condition": condition})

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        networks = {
            name: serialize(getattr(self, name))
            for name in ("network", "error_size")
        }
        return {**super().get_config(), **networks}

    @classmethod
    def from_config(cls, config):
        names = ("network", "error_size")
        return cls(**factors.factor.deserialize_networks(config, names))


def plain():
    condition = keras.Input((None, None, 1), name="condition")
    outputs = keras.layers.Conv2D(3, 1)(condition)
    return keras.Model({"condition": condition}, outputs)


def scaled():
    return tiny.model(2, [Scaled(plain(), plain()), tiny.gan()])


def test_a_role_is_called_by_its_key_and_its_level():
    model = scaled()
    assert {r.name: (r.kind, r.key) for r in model.parts.roles} == {
        "coarse": ("coarse", "draw"),
        "detail_1": ("detail", "draw"),
        "error_size_1": ("error_size", "error_size"),
        "detail_2": ("detail", "draw"),
        "critic_2": ("critic", "critic"),
    }
    assert list(model.networks) == [role.name for role in model.parts.roles]
    assert [part.levels for part in model.parts] == [(0,), (1,), (2,)]


@pytest.mark.parametrize(
    "names, roles",
    [
        ("error_size", "error_size_1"),
        ("draw_2", "detail_2"),
        ("draw_coarse", "coarse"),
        ("detail_2", "detail_2 critic_2"),
        ("critic", "critic_2"),
        (("draw_2", "error_size_1"), "error_size_1 detail_2"),
    ],
)
def test_names_stand_for_roles(names, roles):
    assert scaled().trained_roles(names) == tuple(roles.split())


def test_one_level_that_is_shared_is_called_detail():
    assert list(tiny.model(1).factors) == ["coarse", "detail"]
    assert list(tiny.model(1, [tiny.gan()]).factors) == ["coarse", "detail_1"]


def test_a_generator_may_learn_while_its_critic_rests():
    model = tiny.compiled(scaled(), "sgd")
    model.adapt(tiny.IMAGES)
    before = tiny.weights(model)
    history = model.fit(factors="draw_2", **FIT).history
    assert tiny.moved(tiny.weights(model), before) == {"detail_2"}
    assert {n for n in history if n.endswith("_loss")} == {"detail_2_loss"}


def test_a_critic_that_rests_keeps_its_statistics():
    model = tiny.small_wmgm(
        1, size=8, channels=1, critic_kwargs={"normalization": "batch"}
    )
    tiny.compiled(model, "sgd")
    model.adapt(tiny.IMAGES)
    before = tiny.weights(model)
    model.fit(factors="draw", **FIT)
    assert tiny.moved(tiny.weights(model), before) == {"detail"}


def test_names_that_would_be_two_roles_are_refused():
    class Twice(Scaled):
        @property
        def networks(self):
            return {"draw": self.network, "critic": self.error_size}

    model = tiny.model(2, [Twice(plain(), plain()), tiny.gan()])
    assert "critic_1" in model.networks

    class Clash(Scaled):
        @property
        def networks(self):
            return {"draw": self.network, "detail": self.error_size}

    with pytest.raises(ValueError, match="one name.*Received: roles"):
        tiny.model(2, [Clash(plain(), plain()), tiny.gan()])


def test_a_factors_own_weight_learns_with_the_network_that_draws():
    model = tiny.compiled(scaled(), keras.optimizers.SGD(0.1, use_ema=True))
    model.adapt(tiny.IMAGES)
    factor = model.factors["detail_1"]
    model.fit(factors="detail_2", **FIT)
    assert float(factor.gain) == 1.0
    history = model.fit(factors="draw_1", **FIT).history
    averaged = float(factor.gain)
    model.use_average(False)
    assert len({1.0, averaged, float(factor.gain)}) == 3
    assert "detail_1_loss" in history and "std_ratio_1" not in history


def test_a_factors_own_weight_is_saved(tmp_path):
    model = scaled()
    model.adapt(tiny.IMAGES)
    model.factors["detail_1"].gain.assign(0.25)
    drawn = model.generate(2, num_steps=2, seed=0, verbose=0)
    model.save_to_preset(tmp_path / "preset")
    twin = keras_wmgm.from_preset(
        tmp_path / "preset", custom_objects={"tests>Scaled": Scaled}
    )
    assert float(twin.factors["detail_1"].gain) == 0.25
    found = twin.generate(2, num_steps=2, seed=0, verbose=0)
    assert np.abs(np.int32(found) - drawn).max() <= 1


def test_a_factor_of_ones_own_gets_no_optimizer_of_a_gan():
    model = tiny.compiled(scaled())
    made = model.optimizer.by_role["detail_1"].get_config()
    assert (made["learning_rate"], made["beta_1"]) == (pytest.approx(1e-3), 0.9)


def test_a_guide_alone_reports_no_ratio_of_the_network():
    guide = tiny.score(1)
    model = keras_wmgm.MultiscaleModel(
        (8, 8, 1), 0, tiny.diffusion(guide=guide)
    )
    model.compile("sgd")
    history = model.fit(factors="guide", **FIT).history
    assert set(history) == {"loss", "guide_coarse_loss"}
    assert "std_ratio_coarse" in model.fit(factors="coarse", **FIT).history


def test_shapes_of_noise_have_the_defaults_of_drawing():
    factor = tiny.diffusion()
    assert factor.noise_shapes((4, 4, 1)) == {"start": (4, 4, 1)}
    shapes = factor.noise_shapes((4, 4, 1), sampler="euler_maruyama")
    assert shapes["steps"] == (8, 4, 4, 1)
