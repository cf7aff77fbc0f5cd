import keras
import numpy as np
import pytest
from keras import ops

import keras_wmgm
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
        ({"teacher": "large"}, "`teacher` must be a `DiffusionFactor`"),
        ({"teacher": tiny.score(2)}, "`teacher` must be.*Received: teacher="),
    ],
)
def test_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        tiny.diffusion(2, **kwargs)


@pytest.mark.parametrize(
    "kwargs",
    [{"guide": tiny.score(1)}, {"teacher": tiny.diffusion(1)}],
    ids=["guide", "teacher"],
)
def test_a_guide_or_teacher_of_another_band_is_refused(kwargs):
    with pytest.raises(ValueError, match="must have 2 channels"):
        tiny.diffusion(2, **kwargs).check_band(2, 0, 0)


# Guidance distillation: the guided velocity is learned by one network


def guided(**kwargs):
    """Return a teacher, told of few noise levels, with weights of its own."""
    teacher = tiny.diffusion(
        2,
        condition=1,
        log_snr_mean=0.0,
        log_snr_std=0.5,
        guide=tiny.score(2, 1),
        guidance=1.7,
        **kwargs,
    )
    for offset, made in enumerate(teacher.drawing()):
        fill(made, offset=9 * offset + 5)
    return teacher


def test_a_student_learns_the_guided_velocity_of_its_teacher():
    teacher = guided()
    student = tiny.diffusion(2, condition=1, teacher=teacher)
    fill(student.network)
    target = ops.convert_to_tensor(wave((16, 4, 4, 2)))
    c = ops.convert_to_tensor(wave((16, 4, 4, 1), 1))
    seed = keras.random.SeedGenerator(3)
    found = student.loss(target, c, seed=seed)

    seed = keras.random.SeedGenerator(3)
    ranks = ops.arange(16, dtype="float32")
    ranks = (ranks + keras.random.uniform((), seed=seed)) / 16
    log_snr = 1 + 2.4 * 2**0.5 * ops.erfinv(2 * ranks - 1)
    noise = keras.random.normal(target.shape, seed=seed)
    level = ops.reshape(log_snr, (-1, 1, 1, 1))
    alpha, sigma = (ops.sqrt(ops.sigmoid(s * level)) for s in (1, -1))
    x = alpha * target + sigma * noise

    def call(network, log_snr):
        return network({"x": x, "log_snr": log_snr, "condition": c})

    told = ops.clip(log_snr, -1.5, 1.5)
    strong, weak = (call(n, told) for n in (teacher.network, teacher.guide))
    assert to_numpy(log_snr).min() < -2
    v = call(student.network, ops.clip(log_snr, -6.2, 8.2))
    expected = ops.mean((v - (strong + 0.7 * (strong - weak))) ** 2)
    np.testing.assert_allclose(
        to_numpy(found.losses["draw"]), to_numpy(expected), 1e-4
    )
    assert set(found.losses) == {"draw"} and float(to_numpy(expected)) > 0.1
    guess = alpha * x - sigma * v
    ratio = ops.mean(guess**2) / ops.mean(guess * target)
    np.testing.assert_allclose(to_numpy(found.std_ratio), to_numpy(ratio), 1e-3)


def test_a_student_that_knows_the_guided_velocity_has_nothing_to_learn():
    teacher = factors.DiffusionFactor(
        network(Times(0.3)), guide=network(Times(0.1)), guidance=2.0
    )
    target = wave((16, 4, 4, 2))
    for known, expected in ((0.5, 0.0), (0.3, 0.04)):
        student = factors.DiffusionFactor(
            network(Times(known)), teacher=teacher
        )
        found = losses(student, target)["draw"]
        # x_t of these levels has the mean square of target and noise.
        np.testing.assert_allclose(found, 0.75 * expected, 0.2, 1e-9)


def test_a_students_own_guide_learns_from_the_data():
    student = tiny.diffusion(2, guide=tiny.score(2), teacher=tiny.diffusion(2))
    plain = tiny.diffusion(2, guide=student.guide)
    plain.network.set_weights(student.network.get_weights())
    target = wave((16, 4, 4, 2))
    found, expected = losses(student, target), losses(plain, target)
    assert found["guide"] == pytest.approx(expected["guide"], 1e-5)
    assert found["draw"] != pytest.approx(expected["draw"], 1e-2)


def taught():
    """Return a model without levels whose factor has a guided teacher."""
    teacher = tiny.diffusion(guide=tiny.score(1), guidance=1.5)
    factor = tiny.diffusion(teacher=teacher)
    return keras_wmgm.MultiscaleModel((8, 8, 1), 0, factor)


def test_a_teacher_never_changes():
    model = tiny.compiled(taught(), **tiny.EAGERLY)
    assert model.trained_roles() == model.trained_roles("coarse") == ("coarse",)
    assert not model.coarse.teacher.trainable_variables
    model.adapt(tiny.IMAGES)
    before = tiny.weights(model)
    assert set(before) == {"coarse", "teacher_coarse", "pyramid"}
    history = model.fit(tiny.IMAGES, batch_size=8, verbose=0).history
    assert tiny.moved(tiny.weights(model), before) == {"coarse"}
    assert set(history) == {"loss", "coarse_loss", "std_ratio_coarse"}
    for name in ("teacher", "teacher_coarse"):
        with pytest.raises(ValueError, match="must be one of.*Received"):
            model.fit(tiny.IMAGES, factors=name)


def test_drawing_needs_no_teacher(tmp_path):
    model = taught()
    assert model.network_calls(8) == 8
    assert model.coarse.get_preset_config()["teacher"] is None
    model.adapt(tiny.IMAGES)
    model.save_to_preset(tmp_path / "preset")
    twin = keras_wmgm.from_preset(tmp_path / "preset")
    assert list(twin.networks) == ["coarse"] and twin.coarse.teacher is None
    draw = {"num_steps": 3, "seed": 1, "verbose": 0}
    np.testing.assert_array_equal(
        twin.generate(2, **draw), model.generate(2, **draw)
    )


def test_the_configuration_of_a_teacher_comes_back():
    student = tiny.diffusion(2, condition=1, teacher=guided(name="old"))
    config = keras.saving.serialize_keras_object(student)
    twin = keras.saving.deserialize_keras_object(config)
    assert twin.teacher.guidance == 1.7 and twin.teacher.name == "old"
    assert twin.teacher.log_snr_std == 0.5
    assert len(twin.trainable_variables) == len(student.trainable_variables)
    assert len(twin.weights) == len(student.weights)
    assert not twin.teacher.trainable_variables
