"""Learning rates that follow the clock."""

import math
from collections.abc import Iterable

import keras
from keras.optimizers.schedules import LearningRateSchedule

from keras_wmgm.callbacks.stopping import TimeLimit

FLOOR = 0.02
"""The share of a learning rate that is left at the end."""


class DecayOverTime(keras.callbacks.Callback):
    """Let learning rates fall along a cosine until a `TimeLimit` is reached.

    They are set as an epoch begins. A network's rate falls from the epoch on
    in which it is trained first; one that has a schedule keeps to it. What is
    left at the end is small: set the rates anew before another `fit`.

    Args:
        limit: The `TimeLimit` beside it.
        roles: Of which networks of a `MultiscaleModel`; of all by default.

    Example:

    ```python
    limit = keras_wmgm.callbacks.TimeLimit(minutes=30)
    decay = keras_wmgm.callbacks.DecayOverTime(limit)
    model.fit(images, epochs=1000, callbacks=[limit, decay])
    ```

    Reference:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm
        Restarts" ([arXiv:1608.03983](https://arxiv.org/abs/1608.03983)).
    """

    def __init__(self, limit: TimeLimit, roles: Iterable[str] | None = None):
        super().__init__()
        self.limit = limit
        self.roles = None if roles is None else set(roles)
        self._starts = {}

    def on_epoch_begin(self, epoch, logs=None):
        now, end = self.limit.elapsed, self.limit.seconds
        for role, optimizer in self._decaying().items():
            start = (now, float(optimizer.learning_rate))
            began, rate = self._starts.setdefault(role, start)
            passed = min(1.0, (now - began) / max(end - began, 1e-6))
            share = FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * passed)) / 2
            optimizer.learning_rate = share * rate

    def _decaying(self):
        """Return the optimizers at work whose rate is a number, by role."""
        optimizer = self.model.optimizer
        chosen = optimizer.active if self.roles is None else self.roles
        return {
            role: optimizer.by_role[role]
            for role in optimizer.active & chosen
            if not isinstance(
                optimizer.by_role[role]._learning_rate, LearningRateSchedule
            )
        }
