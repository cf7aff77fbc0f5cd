"""Each network learns from its own loss, though the losses are one scalar."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.helpers import fill
from tests.helpers import to_numpy
from tests.helpers import wave
from tests.models import tiny

IMAGES = 0.8 * wave((4, 8, 8, 1))


def gradients(function, variables, states=()):
    """Return the gradients of a scalar function on this backend.

    Random states move on where they are named.
    """
    values = [v.value for v in variables]
    if tiny.BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = function()
        found = tape.gradient(loss, values)
    elif tiny.BACKEND == "torch":
        import torch

        found = torch.autograd.grad(function(), values, allow_unused=True)
    else:
        import jax

        def stateless(values):
            mapping = list(zip(variables, values, strict=True))
            with keras.StatelessScope(state_mapping=mapping) as scope:
                loss = function()
            return loss, [scope.get_current_value(v) for v in states]

        gradient = jax.jit(jax.grad(stateless, has_aux=True))
        found, moved = gradient(values)
        for variable, value in zip(states, moved, strict=True):
            if value is not None:
                variable.assign(value)
    return [None if g is None else to_numpy(g) for g in found]


class Repeat:
    """Lets a loss be computed again: same random numbers, same statistics."""

    def __init__(self, model):
        states = [*tiny.random_states(model), *model.non_trainable_weights]
        self.states = [(v, tiny.copy(v)) for v in states]

    def __call__(self):
        for variable, value in self.states:
            variable.assign(value)


def formulas(real, fake, kind):
    """Return the critic's and the generator's loss as in the papers."""
    if kind == "wasserstein":
        return ops.mean(fake) - ops.mean(real), -ops.mean(fake)
    if kind == "hinge":
        critic = ops.relu(1 - real) + ops.relu(1 + fake)
        return ops.mean(critic), -ops.mean(fake)
    return (
        ops.mean(ops.log(1 + ops.exp(fake - real))),
        ops.mean(ops.log(1 + ops.exp(real - fake))),
    )


def scale(x, k):
    return ops.full((x.shape[0],), float(k))


def call(network, inputs, training=True):
    inputs = {name: inputs[name] for name in network.input}
    return network(inputs, training=training)


class Alone:
    """The losses of one model, each computed by itself.

    All draw their random numbers in the order in which the joint loss does.
    """

    def __init__(self, model, kind):
        self.model, self.kind = model, kind
        self.factor = model.factors["detail"]
        self.score, self.generator, self.critic = (
            model.networks[role] for role in ("coarse", "detail", "critic")
        )
        self.bands = model.pyramid.analyze(ops.convert_to_tensor(IMAGES))

    def coarse(self):
        target, seed = self.bands[0], self.model.train_seed
        count = len(IMAGES)
        shift = keras.random.uniform((), seed=seed)
        ranks = (ops.arange(count, dtype="float32") + shift) / count
        log_snr = 1.0 + 2.4 * 2**0.5 * ops.erfinv(2 * ranks - 1)
        noise = keras.random.normal(target.shape, seed=seed)
        level = ops.reshape(log_snr, (-1, 1, 1, 1))
        alpha, sigma = (ops.sqrt(ops.sigmoid(s * level)) for s in (1, -1))
        x_t = alpha * target + sigma * noise
        v = self.score({"x": x_t, "log_snr": log_snr}, training=True)
        return ops.mean((v - (alpha * noise - sigma * target)) ** 2)

    def terms(self, part):
        """Return the sum over levels of the terms that `part` gives."""
        self.coarse()
        seed, total = self.model.train_seed, 0.0
        _, details, conditions = self.bands
        for k, (h, c) in enumerate(
            zip(details, conditions, strict=True), start=1
        ):
            noises = [
                keras.random.normal(shape, seed=seed)
                for shape in (c.shape, h.shape, h.shape)
            ]
            total = total + part(c, h, k, *noises)
        return total

    def generate(self, c, z, k):
        inputs = {"condition": c, "noise": z, "scale": scale(c, k)}
        return call(self.generator, inputs)

    def judge(self, c, details, k, training=True):
        """Call the critic as it is."""
        x = ops.concatenate([c, details], axis=-1)
        return call(self.critic, {"x": x, "scale": scale(x, k)}, training)

    def penalty(self, c, details, noise, k):
        """Return the square of the critic's slope, without its dropout."""
        std = self.factor.penalty_std
        x = ops.concatenate([details, details + std * noise], axis=0)
        scores = self.judge(ops.concatenate([c, c], axis=0), x, k, False)
        start, moved = ops.split(scores, 2, axis=0)
        return ops.mean(((moved - start) / std) ** 2)

    def both(self, c, h, f, k, noise_h, noise_f):
        """Return the scores of reals and fakes, and the critic's loss."""
        real = self.judge(c, h, k)
        penalty = self.penalty(c, h, noise_h, k)
        fake = self.judge(c, f, k)
        penalty = penalty + self.penalty(c, f, noise_f, k)
        loss, _ = formulas(real, fake, self.kind)
        return real, loss + self.factor.gamma / 2 * penalty

    def critic_loss(self):
        def part(c, h, k, z, noise_h, noise_f):
            f = ops.stop_gradient(self.generate(c, z, k))
            loss = self.both(c, h, f, k, noise_h, noise_f)[1]
            # The joint loss asks the critic once more.
            self.judge(c, f, k)
            return loss

        return self.terms(part)

    def detail_loss(self):
        def part(c, h, k, z, noise_h, noise_f):
            f = self.generate(c, z, k)
            real, _ = self.both(c, h, f, k, noise_h, noise_f)
            fake = self.judge(c, f, k)
            _, adversarial = formulas(real, fake, self.kind)
            loss = self.factor.adversarial_weight * adversarial
            loss = loss + self.factor.mse_weight * ops.mean((f - h) ** 2)
            return loss

        return self.terms(part)


WEIGHTS = {"adversarial_weight": 0.7, "mse_weight": 0.3}
PAPER = {"normalization": "batch", "dropout": 0.5}


def paper(kind, levels):
    return tiny.small_wmgm(
        levels,
        size=8,
        channels=1,
        adversarial_loss=kind,
        critic_kwargs=PAPER,
        **WEIGHTS,
    )


def plain(kind, levels):
    # Over several levels, what the critic is asked for the generator's sake
    # leaves the state of a dropout as it was.
    dropout = 0.25 if levels == 1 else 0.0
    details = tiny.gan(dropout=dropout, adversarial_loss=kind, **WEIGHTS)
    return tiny.model(levels, details)


@pytest.mark.parametrize(
    "make, kind, levels",
    [
        (paper, "wasserstein", 1),
        (plain, "wasserstein", 2),
        (plain, "relativistic", 1),
        (plain, "hinge", 1),
    ],
    ids=["paper's critic", "shared", "relativistic", "hinge"],
)
def test_each_network_gets_the_gradient_of_its_own_loss(make, kind, levels):
    model = make(kind, levels)
    for network in model.networks.values():
        fill(network)
    model.adapt(IMAGES)
    model.compile(keras.optimizers.SGD(0.1))
    roles = {
        role: network.trainable_variables
        for role, network in model.networks.items()
    }
    every = sum(roles.values(), [])
    assert {id(v) for v in every} == {id(v) for v in model.trainable_variables}

    def joint():
        return model.compute_loss(ops.convert_to_tensor(IMAGES), training=True)

    repeat = Repeat(model)
    repeat()
    found = gradients(joint, every)
    found = {id(v): g for v, g in zip(every, found, strict=True)}
    alone = Alone(model, kind)
    own = {
        "coarse": alone.coarse,
        "detail": alone.detail_loss,
        "critic": alone.critic_loss,
    }
    for role, variables in roles.items():
        repeat()
        expected = gradients(own[role], variables)
        largest = max(np.abs(e).max() for e in expected if e is not None)
        assert largest > 1e-3
        for variable, e in zip(variables, expected, strict=True):
            actual = found[id(variable)]
            np.testing.assert_allclose(
                0.0 if actual is None else actual,
                0.0 if e is None else e,
                0,
                1e-4 * largest,
                err_msg=variable.path,
            )
