"""Each network of a distilled model learns from its own loss, the teachers
from none, though the losses are one scalar."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_wmgm import WMGM
from keras_wmgm import WSGM
from tests.helpers import fill
from tests.helpers import wave
from tests.models import tiny
from tests.models.test_gradients import Repeat
from tests.models.test_gradients import gradients

IMAGES = 0.8 * wave((8, 8, 8, 1))
MEAN, STD, T_MAX = 0.4, 1.2, 2.5
NOISE = 0.6


def score(channels, condition, **kwargs):
    return tiny.diffusion(
        channels,
        condition=condition,
        log_snr_mean=MEAN,
        log_snr_std=STD,
        t_max=T_MAX,
        guide=tiny.score(channels, condition),
        guidance=1.5,
        **kwargs,
    )


def make(shared):
    """Return a model of two levels, of which no two networks are equal."""
    details = [score(3, 1) for _ in range(1 if shared else 2)]
    teacher = WSGM((8, 8, 1), 2, score(1, 0), details[0] if shared else details)
    teacher.adapt(IMAGES)
    model = WMGM.from_teacher(teacher)
    for factor in model.detail_factors:
        factor.condition_noise = NOISE
    model.compile(keras.optimizers.SGD(0.1))
    for i, network in enumerate(model.networks.values()):
        fill(network, offset=9 * i)
    return model


def alpha_sigma(log_snr):
    level = ops.reshape(log_snr, (-1, 1, 1, 1))
    return [ops.sqrt(ops.sigmoid(sign * level)) for sign in (1, -1)]


def velocity(network, x, log_snr, condition):
    low, high = MEAN - 3 * STD, MEAN + 3 * STD
    inputs = {"x": x, "log_snr": ops.clip(log_snr, low, high)}
    if condition is not None:
        inputs["condition"] = condition
    return network(inputs)


def clean(x, v, log_snr):
    alpha, sigma = alpha_sigma(log_snr)
    return alpha * x - sigma * v


def guided(teacher, *inputs):
    v = velocity(teacher.network, *inputs)
    return v + 0.5 * (v - velocity(teacher.guide, *inputs))


class Alone:
    """The losses of one model, each computed by itself.

    All draw their random numbers in the order in which the joint loss does.
    """

    def __init__(self, model):
        self.model, self.seed = model, model.train_seed
        self.bands = model.pyramid.analyze(ops.convert_to_tensor(IMAGES))

    def normal(self, like):
        return keras.random.normal(like.shape, seed=self.seed)

    def levels(self):
        count = len(IMAGES)
        shift = keras.random.uniform((), seed=self.seed)
        ranks = (ops.arange(count, dtype="float32") + shift) / count
        return MEAN + STD * 2**0.5 * ops.erfinv(2 * ranks - 1)

    def coarse(self):
        target, factor = self.bands[0], self.model.coarse
        log_snr, noise = self.levels(), self.normal(target)
        alpha, sigma = alpha_sigma(log_snr)
        inputs = (alpha * target + sigma * noise, log_snr, None)
        wanted = guided(factor.teacher, *inputs)
        return ops.mean((velocity(factor.network, *inputs) - wanted) ** 2)

    def terms(self, part):
        """Return what `part` gives for each level."""
        self.coarse()
        _, details, conditions = self.bands
        found = []
        for h, c, factor in zip(
            details, conditions, self.model.details, strict=True
        ):
            shape = (len(IMAGES), 1, 1, 1)
            std = keras.random.uniform(shape, 0, NOISE, seed=self.seed)
            c = c + std * self.normal(c)
            z, log_snr, noise = self.normal(h), self.levels(), self.normal(h)
            found.append(part(factor, c, z, log_snr, noise))
        return found

    def draw(self, factor, c, z):
        """Return `G(z, c)`."""
        first = np.log(np.exp(-2 * T_MAX) / (1 - np.exp(-2 * T_MAX)))
        first = ops.full((len(z),), float(first))
        return clean(z, velocity(factor.network, z, first, c), first), first

    def detail_losses(self):
        def part(factor, c, z, log_snr, noise):
            x, _ = self.draw(factor, c, z)
            alpha, sigma = alpha_sigma(log_snr)
            still = ops.stop_gradient(x)
            inputs = (alpha * still + sigma * noise, log_snr, c)
            fake = clean(inputs[0], velocity(factor.fake, *inputs), log_snr)
            true = clean(inputs[0], guided(factor.teacher, *inputs), log_snr)
            size = ops.mean(ops.abs(still - true), (1, 2, 3), keepdims=True)
            step = ops.stop_gradient((fake - true) / size)
            # The mean is that of one of eight images.
            mean, first = self.draw(factor, c[:1], 0 * z[:1])
            inputs = (0 * z[:1], first, c[:1])
            v = velocity(factor.teacher.network, *inputs)
            wanted = clean(inputs[0], v, first)
            # The gradient of the first term is that of |x - sg(x - g)|^2 / 2.
            return ops.mean(step * x) + ops.mean((mean - wanted) ** 2)

        return self.terms(part)

    def fake_losses(self):
        def part(factor, c, z, log_snr, noise):
            x = ops.stop_gradient(self.draw(factor, c, z)[0])
            alpha, sigma = alpha_sigma(log_snr)
            v = velocity(factor.fake, alpha * x + sigma * noise, log_snr, c)
            return ops.mean((v - (alpha * noise - sigma * x)) ** 2)

        return self.terms(part)


@pytest.mark.parametrize("shared", [False, True], ids=["each level", "shared"])
def test_each_network_gets_the_gradient_of_its_own_loss(shared):
    model = make(shared)
    repeat, alone = Repeat(model), Alone(model)
    # No level's loss has another level's networks, so they can be summed.
    own = {
        "coarse": alone.coarse,
        "detail": lambda: sum(alone.detail_losses()),
        "fake": lambda: sum(alone.fake_losses()),
    }
    # So that teachers would get a gradient, if a loss had one for them.
    assert not any(
        f.teacher.trainable_variables for f in model.factors.values()
    )
    for factor in model.factors.values():
        factor.teacher.trainable = True
    variables = {kind: [] for kind in (*own, "teacher")}
    for role in model.parts.roles:
        variables[role.kind] += role.network.trainable_variables
    every = sum(variables.values(), [])
    assert {id(v) for v in every} == {id(v) for v in model.trainable_variables}

    def joint():
        return model.compute_loss(ops.convert_to_tensor(IMAGES), training=True)

    repeat()
    found = gradients(joint, every)
    found = {id(v): g for v, g in zip(every, found, strict=True)}
    actual = [found[id(v)] for v in variables.pop("teacher")]
    assert actual and not any(np.any(g) for g in actual if g is not None)
    for kind, learned in variables.items():
        repeat()
        expected = gradients(own[kind], learned)
        largest = max(np.abs(e).max() for e in expected)
        assert largest > 1e-3
        for variable, e in zip(learned, expected, strict=True):
            np.testing.assert_allclose(
                found[id(variable)],
                e,
                0,
                1e-4 * largest,
                err_msg=variable.path,
            )


def test_no_step_has_a_part_in_the_next_ones_gradient():
    """Two networks of one part may give their layers the same names."""
    model = make(shared=False)
    model.compile(keras.optimizers.SGD(0.1), **tiny.EAGERLY)
    repeat, start = Repeat(model), model.get_weights()
    steps = []
    for _ in range(2):
        model.set_weights(start)
        repeat()
        before = tiny.weights(model)
        model.train_on_batch(IMAGES)
        after = tiny.weights(model)
        steps.append(
            {
                role: [a - b for a, b in zip(after[role], values, strict=True)]
                for role, values in before.items()
            }
        )
    roles = set(model.trained_roles())
    assert {r for r, moves in steps[0].items() if any(map(np.any, moves))} == (
        roles
    )
    tiny.assert_equal(steps[1], steps[0], 1e-5)
