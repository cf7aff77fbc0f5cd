import keras
import numpy as np
import pytest
from keras import ops

from keras_wmgm import MultiscaleModel
from keras_wmgm import factors
from tests.helpers import fill
from tests.helpers import to_numpy
from tests.helpers import wave
from tests.models import tiny

TARGET = wave((16, 4, 4, 3))
CONDITION = wave((16, 4, 4, 1), 1)
MEAN, STD, T_MAX = 0.5, 1.5, 3.0
LEVELS = {"log_snr_mean": MEAN, "log_snr_std": STD, "t_max": T_MAX}


def scored(guidance=1.6, **kwargs):
    """Return a teacher with weights of a closed form."""
    guide = tiny.score(3, 1) if guidance != 1 else None
    teacher = tiny.diffusion(
        3, condition=1, guide=guide, guidance=guidance, **{**LEVELS, **kwargs}
    )
    for i, network in enumerate(teacher.drawing()):
        fill(network, offset=9 * i)
    return teacher


def distilled(teacher=None, **kwargs):
    """Return a factor whose three networks differ."""
    factor = factors.DistilledFactor.from_teacher(teacher or scored(), **kwargs)
    factor.prepare_training()
    fill(factor.network, offset=20)
    fill(factor.fake, offset=40)
    return factor


def numpy_weights(network):
    return [tiny.copy(w) for w in network.weights]


def assert_equal(network, values):
    """Check the weights of a network to the bit."""
    tiny.assert_equal({"": numpy_weights(network)}, {"": values})


# The definitions, written out with another grouping of terms


def alpha_sigma(log_snr):
    level = ops.reshape(log_snr, (-1, 1, 1, 1))
    return [ops.sqrt(ops.sigmoid(sign * level)) for sign in (1, -1)]


def clean(network, x, log_snr, condition, mean=MEAN, std=STD):
    """Return the velocity of a network, and its estimate of the band."""
    told = ops.clip(log_snr, mean - 3 * std, mean + 3 * std)
    v = network({"x": x, "log_snr": told, "condition": condition})
    alpha, sigma = alpha_sigma(log_snr)
    return v, alpha * x - sigma * v


def first(x):
    """Return the log-SNR of alpha = exp(-t) for every image of a batch."""
    rate = np.exp(-2 * T_MAX)
    return ops.full((len(x),), float(np.log(rate / (1 - rate))))


def tensors():
    return map(ops.convert_to_tensor, (TARGET, CONDITION))


def loss(factor, seed=3, **kwargs):
    target, condition = tensors()
    seed = keras.random.SeedGenerator(seed)
    return factor.loss(target, condition, k=1, seed=seed, **kwargs)


def losses(factor, **kwargs):
    found = loss(factor, **kwargs).losses
    return {role: float(to_numpy(value)) for role, value in found.items()}


def expected(factor, noisy=0.0, temperature=1.0, mean_weight=1.0, seed=3):
    """Return the losses and measures as the docstring defines them."""
    seed = keras.random.SeedGenerator(seed)
    h, c = tensors()
    if noisy:
        std = keras.random.uniform((16, 1, 1, 1), 0, noisy, seed=seed)
        c = c + std * keras.random.normal(c.shape, seed=seed)
    z = temperature * keras.random.normal(h.shape, seed=seed)
    _, x = clean(factor.network, z, first(z), c)
    ranks = ops.arange(16, dtype="float32")
    ranks = (ranks + keras.random.uniform((), seed=seed)) / 16
    log_snr = MEAN + STD * 2**0.5 * ops.erfinv(2 * ranks - 1)
    noise = keras.random.normal(h.shape, seed=seed)
    alpha, sigma = alpha_sigma(log_snr)
    x_t = alpha * x + sigma * noise
    v_fake, fake = clean(factor.fake, x_t, log_snr, c)
    teacher = factor.teacher
    _, true = clean(teacher.network, x_t, log_snr, c)
    if teacher.guide is not None:
        _, weak = clean(teacher.guide, x_t, log_snr, c)
        true = true + (teacher.guidance - 1) * (true - weak)
    size = ops.mean(ops.abs(x - true), axis=(1, 2, 3), keepdims=True)
    draw = ops.mean(((fake - true) / size) ** 2) / 2
    # The mean is that of two of sixteen images.
    zeros = ops.zeros((2, 4, 4, 3))
    _, ours = clean(factor.network, zeros, first(zeros), c[:2])
    _, theirs = clean(teacher.network, zeros, first(zeros), c[:2])
    draw = draw + mean_weight * ops.mean((ours - theirs) ** 2)
    other = ops.roll(z, (1, 2), axis=(0, 1))[:4]
    _, second = clean(factor.network, other, first(other), c[:4])
    spread = ops.mean((x[:4] - second) ** 2) / ops.mean((x - h)[:4] ** 2)
    return {
        "draw": draw,
        "fake": ops.mean((v_fake - (alpha * noise - sigma * x)) ** 2),
        "std_ratio": ops.sqrt(ops.mean(x**2) / ops.mean(h**2)),
        "spread": spread,
    }


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "guidance, temperature, weight",
    [(1.6, 1.0, 1.0), (1.0, 1.2, 0.3), (1.6, 1.1, 0.0)],
)
def test_losses_are_those_of_the_definition(
    guidance, temperature, weight, training
):
    factor = distilled(
        scored(guidance, temperature=temperature),
        mean_weight=weight,
        condition_noise=0.7,
    )
    found = loss(factor, training=training)
    noisy = 0.7 if training else 0.0
    wanted = expected(factor, noisy, temperature, weight)
    measures = {n: getattr(found, n) for n in factor.measures}
    assert set(found.losses) == {"draw", "fake"}
    assert set(measures) == {"std_ratio", "spread"}
    for name, value in {**found.losses, **measures}.items():
        np.testing.assert_allclose(
            to_numpy(value), to_numpy(wanted[name]), 2e-4, err_msg=name
        )
        assert float(to_numpy(value)) > 0.01


def test_a_generator_of_the_teachers_law_has_nothing_to_learn():
    teacher = scored(1.0)
    factor = factors.DistilledFactor.from_teacher(teacher)
    factor.prepare_training()
    assert losses(factor)["draw"] == pytest.approx(0, abs=1e-9)
    fill(factor.fake, offset=40)
    assert losses(factor)["draw"] > 0.01


# Drawing


@pytest.mark.parametrize("temperature", [1.0, 1.3])
def test_one_call_draws(temperature):
    factor = distilled(temperature=temperature)
    z, (_, c) = ops.convert_to_tensor(wave(TARGET.shape, 5)), tensors()
    found = factor.sample({"start": z}, c, k=1)
    _, wanted = clean(factor.network, temperature * z, first(z), c)
    np.testing.assert_allclose(to_numpy(found), to_numpy(wanted), 1e-4, 1e-5)
    assert factor.noise_shapes((4, 4, 3)) == {"start": (4, 4, 3)}
    assert factor.calls() == 1 and not factor.takes_steps


def test_a_network_is_told_only_what_it_often_meets():
    # At t = 3 the log-SNR is -6, and the reach ends at -4.
    factor = distilled()
    z, (_, c) = ops.convert_to_tensor(wave(TARGET.shape, 5)), tensors()
    found = to_numpy(factor.sample({"start": z}, c, k=1))
    _, wanted = clean(factor.network, z, first(z), c, std=100.0)
    assert np.abs(found - to_numpy(wanted)).max() > 0.01


@pytest.mark.parametrize("grid", ["log_snr", "karras", "uniform"])
def test_it_starts_with_what_the_teacher_draws_in_one_call(grid):
    teacher = scored(1.0, grid=grid, temperature=1.2)
    factor = factors.DistilledFactor.from_teacher(teacher)
    z, (_, c) = ops.convert_to_tensor(wave(TARGET.shape, 5)), tensors()
    found = factor.sample({"start": z}, c, k=1)
    wanted = teacher.sample({"start": z}, c, k=1, num_steps=1)
    np.testing.assert_allclose(to_numpy(found), to_numpy(wanted), 1e-4, 1e-5)


# What comes from the teacher


def test_weights_and_settings_are_the_teachers():
    teacher = scored(temperature=1.1, condition_noise=0.1)
    known = numpy_weights(teacher.network)
    factor = factors.DistilledFactor.from_teacher(teacher)
    assert factor.teacher is teacher and factor.fake is None
    assert factor.network is not teacher.network
    assert_equal(factor.network, known)
    for name, value in {**LEVELS, "temperature": 1.1}.items():
        assert getattr(factor, name) == value
    other = factors.DistilledFactor.from_teacher(
        teacher, log_snr_mean=-1.0, temperature=1.0, mean_weight=0.5
    )
    assert (other.log_snr_mean, other.log_snr_std) == (-1.0, STD)
    assert (other.temperature, other.mean_weight) == (1.0, 0.5)
    fill(factor.network, offset=20)
    assert_equal(teacher.network, known)


def test_a_teacher_is_frozen_and_the_others_learn():
    teacher = scored()
    factor = factors.DistilledFactor.from_teacher(teacher)
    assert list(factor.networks) == ["draw", "teacher"]
    factor.prepare_training()
    assert list(factor.networks) == ["draw", "fake", "teacher"]
    assert factor.roles == ("draw", "fake", "teacher")
    assert not teacher.trainable_variables
    learned = [*factor.network.weights, *factor.fake.weights]
    assert {id(v) for v in factor.trainable_variables} == set(map(id, learned))


def test_the_fake_score_starts_as_the_teachers_and_is_made_once():
    teacher = scored()
    factor = factors.DistilledFactor.from_teacher(teacher)
    fill(factor.network, offset=20)
    factor.prepare_training()
    fake = factor.fake
    assert_equal(fake, numpy_weights(teacher.network))
    fill(fake, offset=40)
    factor.prepare_training()
    assert factor.fake is fake
    assert np.any(numpy_weights(fake)[0] != numpy_weights(teacher.network)[0])


def test_without_a_teacher_it_draws_and_does_not_learn():
    factor = factors.DistilledFactor(tiny.score(3, 1))
    factor.prepare_training()
    assert list(factor.networks) == ["draw"]
    with pytest.raises(ValueError, match="from_teacher.*coarse.*Received: "):
        factor.check_training()
    distilled().check_training()


def test_the_learning_rates_are_those_that_did_well():
    made = {r: distilled().default_optimizer(r) for r in ("draw", "fake")}
    rates = {r: float(to_numpy(o.learning_rate)) for r, o in made.items()}
    assert rates == {"draw": pytest.approx(5e-4), "fake": pytest.approx(2e-3)}
    assert made["draw"].use_ema and not made["fake"].use_ema
    assert {type(o).__name__ for o in made.values()} == {"ConvMuon"}


# Configuration


def test_configuration_comes_back():
    settings = {"temperature": 1.1, "mean_weight": 0.25, "name": "mine"}
    factor = distilled(condition_noise=0.2, **settings)
    config = keras.saving.serialize_keras_object(factor)
    twin = keras.saving.deserialize_keras_object(config)
    found = twin.get_config()
    wanted = {**settings, **LEVELS, "condition_noise": 0.2}
    assert {name: found[name] for name in wanted} == wanted
    assert twin.teacher.guidance == 1.6
    assert list(twin.networks) == ["draw", "fake", "teacher"]
    assert not twin.teacher.trainable_variables
    for ours, theirs in zip(twin.weights, factor.weights, strict=True):
        ours.assign(theirs)
    assert losses(twin) == losses(factor)


def test_a_preset_holds_neither_teacher_nor_fake_score():
    factor = distilled(mean_weight=0.25)
    config = factor.get_preset_config()
    assert config["teacher"] is None and config["fake"] is None
    twin = factors.DistilledFactor.from_config(config)
    assert list(twin.networks) == ["draw"] and twin.mean_weight == 0.25
    twin.network.set_weights(factor.network.get_weights())
    z, (_, c) = ops.convert_to_tensor(wave(TARGET.shape, 5)), tensors()
    found, wanted = (f.sample({"start": z}, c, k=1) for f in (twin, factor))
    np.testing.assert_array_equal(to_numpy(found), to_numpy(wanted))
    # What it holds now is left as it is.
    assert list(factor.networks) == ["draw", "fake", "teacher"]


# Refusals


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"teacher": "large"}, "`teacher` must be a `DiffusionFactor`"),
        ({"teacher": tiny.gan()}, "must be a `DiffusionFactor`.*Received: "),
        ({"fake": tiny.generator(3)}, "`fake` must be a Keras model"),
        ({"fake": "small"}, "`fake` must be a Keras model"),
        ({"network": tiny.generator(3)}, "`network` must be a Keras model"),
        ({"log_snr_mean": np.nan}, "`log_snr_mean` must be"),
        ({"log_snr_std": 0.0}, "`log_snr_std` must be"),
        ({"t_max": 0.0}, "`t_max` must be"),
        ({"t_max": -1.0}, "`t_max` must be"),
        ({"temperature": 0.0}, "`temperature` must be"),
        ({"mean_weight": -0.1}, "`mean_weight` must be"),
        ({"condition_noise": -0.1}, "`condition_noise` must be"),
    ],
)
def test_refused(kwargs, message):
    arguments = {"network": tiny.score(3, 1), **kwargs}
    with pytest.raises(ValueError, match=message):
        factors.DistilledFactor(**arguments)


def test_a_teacher_is_to_have_a_score():
    with pytest.raises(ValueError, match="`teacher` must be.*Received: "):
        factors.DistilledFactor.from_teacher(tiny.gan())


@pytest.mark.parametrize(
    "kwargs",
    [
        {"network": tiny.score(6, 1)},
        {"network": tiny.score(3)},
        {"teacher": tiny.diffusion(6, condition=1)},
        {"teacher": tiny.diffusion(3, condition=2)},
        {"fake": tiny.score(6, 1)},
    ],
    ids=lambda kwargs: next(iter(kwargs)),
)
def test_a_network_of_another_band_is_refused(kwargs):
    arguments = {"network": tiny.score(3, 1), **kwargs}
    factor = factors.DistilledFactor(**arguments)
    with pytest.raises(ValueError, match="must have . channels.*Received: "):
        factor.check_band(3, 1, 1)


# What is learned


@keras.saving.register_keras_serializable(package="tests")
class Gaussian(keras.layers.Layer):
    """The velocity of a Gaussian, whose mean and spread can be learned."""

    def __init__(self, mean=0.0, std=1.0, **kwargs):
        super().__init__(**kwargs)
        self.start = (mean, np.log(std))

    def build(self, *shapes):
        self.mean, self.log_std = (
            self.add_weight(
                name=name,
                shape=(),
                initializer=keras.initializers.Constant(float(value)),
            )
            for name, value in zip(("mean", "log_std"), self.start, strict=True)
        )

    def call(self, x, log_snr):
        alpha, sigma = alpha_sigma(log_snr)
        variance = ops.exp(2 * self.log_std)
        gain = alpha * variance / (alpha**2 * variance + sigma**2)
        guess = self.mean + gain * (x - alpha * self.mean)
        return (alpha * x - guess) / sigma


@keras.saving.register_keras_serializable(package="tests")
class Line(keras.layers.Layer):
    """A generator that is all but the line `std z + mean` of its noise."""

    def build(self, *shapes):
        self.mean, self.log_std = (
            self.add_weight(name=name, shape=(), initializer="zeros")
            for name in ("mean", "log_std")
        )

    def call(self, x, log_snr):
        return -ops.exp(self.log_std) * x - self.mean


def network(layer):
    inputs = {
        "x": keras.Input((None, None, 1), name="x"),
        "log_snr": keras.Input((), name="log_snr"),
    }
    return keras.Model(inputs, layer(inputs["x"], inputs["log_snr"]))


def test_draws_come_to_have_the_law_of_the_teachers_data():
    """Only the scores tell of it: the images that are given are others'."""
    mean, std = 0.7, 0.4
    teacher = factors.DiffusionFactor(network(Gaussian(mean, std)))
    factor = factors.DistilledFactor(network(Line()), teacher)
    model = MultiscaleModel((8, 8, 1), 0, factor)
    model.adapt(tiny.IMAGES)
    optimizers = {
        "coarse": keras.optimizers.Adam(0.05, beta_1=0.0),
        "fake": keras.optimizers.Adam(0.2, beta_1=0.0),
    }
    model.compile(optimizers)
    model.fit(np.tile(tiny.IMAGES, (45, 1, 1, 1)), batch_size=16, verbose=0)
    z = keras.random.normal((64, 8, 8, 1), seed=1)
    drawn = to_numpy(factor.sample({"start": z}))
    assert abs(drawn.mean() - mean) < 0.05
    assert abs(drawn.std() - std) < 0.05
    # So does what the fake score has learned of them.
    learned = [float(to_numpy(w)) for w in factor.fake.weights]
    assert abs(learned[0] - mean) < 0.1
    assert abs(np.exp(learned[1]) - std) < 0.1


def test_a_draw_without_noise_comes_to_be_the_teachers_mean():
    """Without its guide: that of 0.7 and 0.2 would be 1.2.

    The fake score is the guided one, so nothing else is to be learned, and a
    step of gradient descent on a square ends where it is least.
    """
    teacher = factors.DiffusionFactor(
        network(Gaussian(0.7, 0.4)),
        guide=network(Gaussian(0.2, 0.4)),
        guidance=2.0,
    )
    factor = factors.DistilledFactor(
        network(Line()), teacher, network(Gaussian(1.2, 0.4))
    )
    model = MultiscaleModel((8, 8, 1), 0, factor)
    model.adapt(tiny.IMAGES)
    model.compile(keras.optimizers.SGD(0.5), **tiny.EAGERLY)
    nothing = {"start": ops.zeros((1, 8, 8, 1))}
    assert np.abs(to_numpy(factor.sample(nothing))).max() < 1e-6
    fit = {"factors": "draw_coarse", "batch_size": 16, "verbose": 0}
    history = model.fit(tiny.IMAGES, **fit).history
    np.testing.assert_allclose(history["coarse_loss"], 0.7**2, 2e-3)
    np.testing.assert_allclose(to_numpy(factor.sample(nothing)), 0.7, 2e-3)
    # The noise is left alone: the line has the slope that it had.
    assert abs(float(to_numpy(factor.network.weights[1]))) < 1e-3


def test_without_its_weight_the_mean_is_left_to_itself():
    factor = distilled()
    plain = distilled(mean_weight=0.0)
    found, other = losses(factor), losses(plain)
    assert found["fake"] == pytest.approx(other["fake"], 1e-5)
    wanted = expected(factor, mean_weight=1.0)["draw"]
    without = expected(factor, mean_weight=0.0)["draw"]
    assert found["draw"] - other["draw"] == pytest.approx(
        float(to_numpy(wanted - without)), 1e-3
    )
