import keras
import numpy as np
import pytest
from keras import ops

from keras_wmgm import factors
from keras_wmgm import metrics
from keras_wmgm import networks
from tests.helpers import fill
from tests.helpers import to_numpy
from tests.helpers import wave
from tests.models import tiny

CONDITION = wave((6, 4, 4, 1))
DETAIL = wave((6, 4, 4, 3), 1)


def make(dropout=0.0, **kwargs):
    made = tiny.gan(dropout=dropout, **kwargs)
    for network in made.networks.values():
        fill(network)
    return made


def enlarge(condition, detail):
    """Stand in for a pyramid: an image of twice the size."""
    bands = ops.concatenate([condition, detail], axis=-1)
    image = ops.repeat(ops.repeat(bands, 2, axis=1), 2, axis=2)
    return ops.tanh(ops.sum(image, axis=-1, keepdims=True))


def loss(factor, **kwargs):
    result = factor.loss(
        ops.convert_to_tensor(DETAIL),
        ops.convert_to_tensor(CONDITION),
        k=1,
        reconstruct=enlarge,
        seed=keras.random.SeedGenerator(3),
        **kwargs,
    )
    losses = {role: float(to_numpy(v)) for role, v in result.losses.items()}
    return losses, float(to_numpy(result.std_ratio))


def drawn():
    """Return what the factor draws: z, and the penalty's noise."""
    seed = keras.random.SeedGenerator(3)
    shapes = (CONDITION.shape, DETAIL.shape, DETAIL.shape)
    return [to_numpy(keras.random.normal(s, seed=seed)) for s in shapes]


def generate(factor, z, condition=CONDITION):
    inputs = {"condition": condition, "noise": z}
    return to_numpy(factor.generator(inputs))


def judge(factor, detail):
    x = np.concatenate([CONDITION, detail], axis=-1)
    return to_numpy(factor.critic({"x": x}))


def softplus(x):
    return np.log1p(np.exp(x))


FORMULAS = {
    "wasserstein": (
        lambda real, fake: fake.mean() - real.mean(),
        lambda real, fake: -fake.mean(),
    ),
    "relativistic": (
        lambda real, fake: softplus(fake - real).mean(),
        lambda real, fake: softplus(real - fake).mean(),
    ),
    "hinge": (
        lambda real, fake: (
            np.maximum(1 - real, 0).mean() + np.maximum(1 + fake, 0).mean()
        ),
        lambda real, fake: -fake.mean(),
    ),
}


@pytest.mark.parametrize("kind", FORMULAS)
@pytest.mark.parametrize("training", [True, False])
def test_losses_are_those_of_the_papers(kind, training):
    factor = make(
        adversarial_loss=kind,
        mse_weight=0.3,
        adversarial_weight=0.7,
        gamma=2.0,
        penalty_std=0.5,
    )
    found, ratio = loss(factor, training=training)
    z, real_noise, fake_noise = drawn()
    f = generate(factor, z)
    real, fake = judge(factor, DETAIL), judge(factor, f)
    critic, generator = (formula(real, fake) for formula in FORMULAS[kind])
    for detail, noise, score in (
        (DETAIL, real_noise, real),
        (f, fake_noise, fake),
    ):
        slope = (judge(factor, detail + 0.5 * noise) - score) / 0.5
        critic = critic + 2.0 / 2 * (slope**2).mean()
    generator = 0.7 * generator + 0.3 * ((f - DETAIL) ** 2).mean()
    np.testing.assert_allclose(found["critic"], critic, 1e-4, 1e-5)
    np.testing.assert_allclose(found["draw"], generator, 1e-4, 1e-5)
    expected = np.sqrt((f**2).mean() / (DETAIL**2).mean())
    np.testing.assert_allclose(ratio, expected, 1e-4)


def measured_spread(factor):
    """Return the spread that `loss` reports, and that of its definition."""
    result = factor.loss(
        ops.convert_to_tensor(DETAIL),
        ops.convert_to_tensor(CONDITION),
        k=1,
        seed=keras.random.SeedGenerator(3),
    )
    z = drawn()[0]
    other = np.roll(z, (1, 2), axis=(0, 1))
    f, g = (generate(factor, noise)[:4] for noise in (z, other))
    expected = ((f - g) ** 2).mean() / ((f - DETAIL[:4]) ** 2).mean()
    return float(to_numpy(result.spread)), expected


def test_the_spread_is_that_of_two_draws_over_the_error():
    found, expected = measured_spread(make())
    np.testing.assert_allclose(found, expected, 1e-4)
    assert expected > 0.01


def test_the_spread_of_a_generator_that_ignores_its_noise_is_zero():
    factor = make()
    kernel = factor.generator.trainable_variables[0]
    deaf = to_numpy(kernel).copy()
    deaf[:, :, 1] = 0  # the noise comes after the condition's one channel
    kernel.assign(deaf)
    assert measured_spread(factor)[0] < 1e-6


def test_without_noise_there_is_no_spread():
    generator = networks.DetailUNet(1, noise_channels=0, filters=(4,))
    factor = factors.AdversarialFactor(generator, tiny.critic(4))
    assert factor.measures == ("std_ratio",)


def test_the_penalty_is_on_the_slope_and_not_on_what_dropout_does():
    factor = make(dropout=0.5, gamma=2.0)
    still = make(dropout=0.0, gamma=2.0)
    zero = make(dropout=0.5, gamma=0.0)
    # Without training there is no dropout: the losses are the same.
    evaluated = [loss(made, training=False)[0] for made in (factor, still)]
    for role, value in evaluated[0].items():
        np.testing.assert_allclose(value, evaluated[1][role], 1e-5)
    penalties = []
    for made, plain in ((factor, zero), (still, make(gamma=0.0))):
        found, expected = loss(made)[0], loss(plain)[0]
        penalties.append(found["critic"] - expected["critic"])
    np.testing.assert_allclose(*penalties, 1e-3)
    assert penalties[1] > 1e-3


def test_similarity_is_that_of_the_images_the_details_complete():
    weights = {"mse_weight": 0.0, "adversarial_weight": 0.0}
    factor = make(ssim_weight=0.5, **weights)
    f = generate(factor, drawn()[0])
    images = [
        to_numpy(enlarge(*map(ops.convert_to_tensor, (CONDITION, d))))
        for d in (f, DETAIL)
    ]
    similarity = to_numpy(metrics.ssim(*images, data_range=2.0)).mean()
    assert similarity < 0.9
    found, _ = loss(factor)
    np.testing.assert_allclose(found["draw"], 0.5 * (1 - similarity), 1e-4)


def test_a_critic_of_images_sees_what_the_bands_reconstruct():
    critic = tiny.critic(1, dropout=0.0)
    factor = factors.AdversarialFactor(
        tiny.generator(1), critic, critic_input="image", gamma=0.0
    )
    for network in factor.networks.values():
        fill(network)
    f = generate(factor, drawn()[0])
    real, fake = (
        to_numpy(
            critic({"x": enlarge(*map(ops.convert_to_tensor, (CONDITION, d)))})
        )
        for d in (DETAIL, f)
    )
    found, _ = loss(factor)
    np.testing.assert_allclose(
        found["critic"], fake.mean() - real.mean(), 1e-4, 1e-5
    )


@pytest.mark.parametrize("training", [True, False])
def test_conditions_are_noisy_only_in_training(training):
    factor = make(condition_noise=0.8, adversarial_weight=0.0, mse_weight=1.0)
    found, _ = loss(factor, training=training)
    seed = keras.random.SeedGenerator(3)
    condition = CONDITION
    if training:
        std = keras.random.uniform((6, 1, 1, 1), 0, 0.8, seed=seed)
        noise = keras.random.normal(CONDITION.shape, seed=seed)
        condition = CONDITION + to_numpy(std) * to_numpy(noise)
    z = to_numpy(keras.random.normal(CONDITION.shape, seed=seed))
    error = ((generate(factor, z, condition) - DETAIL) ** 2).mean()
    np.testing.assert_allclose(found["draw"], error, 1e-4)


def test_noise_of_conditions_is_uniform_up_to_its_bound():
    factor = make(condition_noise=0.5)
    condition = ops.zeros((2000, 4, 4, 1))
    seed = keras.random.SeedGenerator(0)
    noise = to_numpy(factor.corrupt(condition, seed, True))
    std = np.sqrt((noise**2).mean(axis=(1, 2, 3)))
    # Var of a mixture of standard deviations uniform in [0, 0.5].
    np.testing.assert_allclose((std**2).mean(), 0.25 / 3, 0.1)
    assert np.mean(std < 0.1) > 0.1 and np.mean(std > 0.4) > 0.1
    assert factor.corrupt(condition, seed, False) is condition
    assert make().corrupt(condition, seed, True) is condition


def test_one_call_draws_the_details():
    factor = make()
    noise = wave(CONDITION.shape, 5)
    found = factor.sample({"start": noise}, CONDITION, k=1)
    np.testing.assert_allclose(to_numpy(found), generate(factor, noise), 1e-5)
    assert factor.noise_shapes((4, 4, 3)) == {"start": (4, 4, 1)}
    assert factor.calls() == 1 and not factor.takes_steps


def test_a_generator_without_noise_needs_none():
    inputs = {"condition": keras.Input((None, None, 1), name="condition")}
    outputs = keras.layers.Conv2D(3, 1)(inputs["condition"])
    generator = keras.Model(inputs, outputs)
    factor = factors.AdversarialFactor(generator, tiny.critic(4))
    assert factor.noise_shapes((4, 4, 3)) == {"start": (4, 4, 0)}
    found = factor.sample({"start": np.zeros((6, 4, 4, 0))}, CONDITION, k=1)
    np.testing.assert_allclose(
        to_numpy(found), to_numpy(generator({"condition": CONDITION})), 1e-5
    )
    assert np.isfinite(list(loss(factor)[0].values())).all()


@pytest.mark.parametrize("built", [True, False])
def test_a_critic_is_made_of_its_description(built):
    factor = make(adversarial_loss="hinge", condition_noise=0.1)
    config = keras.saving.serialize_keras_object(factor)
    config["config"]["build_critic"] = built
    twin = keras.saving.deserialize_keras_object(config)
    roles = ["draw", "critic"]
    assert list(twin.networks) == (roles if built else ["draw"])
    assert twin.roles == tuple(roles)
    first = twin.get_config()
    twin.prepare_training()
    assert list(twin.networks) == roles
    assert twin.critic.count_params() == factor.critic.count_params()
    second = twin.get_config()
    assert first.pop("build_critic") == built and second.pop("build_critic")
    for made in (first, second):
        assert made["adversarial_loss"] == "hinge"
        assert made["condition_noise"] == 0.1
    assert first == second
