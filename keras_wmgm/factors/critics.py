"""What a critic says of details, and the losses that follow from it."""

from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import ops

from keras_wmgm.factors.adversarial_losses import LOSSES
from keras_wmgm.factors.factor import named_inputs
from keras_wmgm.types import Tensor


class AdversarialTerms(NamedTuple):
    """The losses of a critic and of a generator.

    Attributes:
        critic: `D(c, f) - D(c, h)`, or what takes its place, and the penalty.
            Its gradient is that of the critic's weights alone.
        generator: The generator's. Its gradient is that of the details alone.
    """

    critic: Tensor
    generator: Tensor


def adversarial_terms(
    critic: keras.Model,
    see: Callable[[Tensor], Tensor],
    target: Tensor,
    fake: Tensor,
    k: int,
    seed: keras.random.SeedGenerator,
    training: bool,
    kind: str = "relativistic",
    gamma: float = 1.0,
    penalty_std: float = 0.1,
) -> AdversarialTerms:
    """Return the adversarial losses of details (WMGM, Eq. 21 and 22).

    The penalty keeps the critic smooth:
    `gamma / 2 * mean (D(h + s n) - D(h))^2 / s^2` on reals and on fakes.

    Args:
        critic: A model with the input `"x"`.
        see: Function from details to the critic's input.
        target: The true details.
        fake: The generated details.
        k: The level.
        seed: The source of the penalty's noise.
        training: Whether the critic is in training mode.
        kind: A key of `LOSSES`.
        gamma: Weight of the penalty; 0 for none.
        penalty_std: The penalty's s.
    """

    def judge(details):
        return _judge(
            critic, see, details, k, seed, training, gamma, penalty_std
        )

    real_score, real_penalty = judge(target)
    fake_score, fake_penalty = judge(ops.stop_gradient(fake))
    pair = LOSSES[kind]
    critic_loss, _ = pair(real_score, fake_score)
    _, generator_loss = pair(
        ops.stop_gradient(real_score),
        _score_by_stopped(critic, see(fake), k, training),
    )
    return AdversarialTerms(
        critic_loss + real_penalty + fake_penalty, generator_loss
    )


def _judge(critic, see, details, k, seed, training, gamma, penalty_std):
    """Return the critic's scores, and half the penalty on them."""
    x = see(details)
    if not gamma:
        return _score(critic, x, k, training), 0.0
    noise = keras.random.normal(ops.shape(details), seed=seed)
    both = ops.concatenate([x, see(details + penalty_std * noise)], axis=0)
    if critic.non_trainable_variables:
        # Training mode makes a difference. The slope is measured without
        # dropout and with fixed batch statistics, after the training pass,
        # which updates these.
        score, still = _score(critic, x, k, training), False
        start, moved = ops.split(_score(critic, both, k, still), 2, axis=0)
    else:
        start, moved = ops.split(_score(critic, both, k, training), 2, axis=0)
        score = start
    slope = (moved - start) / penalty_std
    return score, gamma / 2 * ops.mean(slope**2)


def _score(critic, x, k, training):
    inputs = named_inputs(critic, k, x=x)
    return ops.cast(critic(inputs, training=training), "float32")


def _score_by_stopped(critic, x, k, training):
    """Return the scores with a gradient to `x` and none to the critic."""
    score, _ = critic.stateless_call(
        [ops.stop_gradient(v) for v in critic.trainable_variables],
        critic.non_trainable_variables,
        named_inputs(critic, k, x=x),
        training=training,
    )
    return ops.cast(score, "float32")


def gan_optimizer(**kwargs) -> keras.optimizers.Optimizer:
    """Return a new optimizer for a generator or its critic.

    Args:
        **kwargs: More arguments of it, such as `use_ema`.
    """
    return keras.optimizers.Adam(
        2e-4, beta_1=0.5, beta_2=0.9, global_clipnorm=1.0, **kwargs
    )
