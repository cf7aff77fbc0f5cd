"""Learning rates that follow the clock."""

import math
from collections.abc import Iterable

import keras
import numpy as np
from keras.optimizers.schedules import LearningRateSchedule

from keras_wmgm.callbacks.stopping import TimeLimit
from keras_wmgm.utils.checks import check_count

FLOOR = 0.02
"""The fraction of a learning rate that is left at the end."""
START = 0.25
"""The fraction of it at the first step of a warm-up."""
RISEN = 0.1
"""The fraction of the time after which a warm-up ends in any case."""


class DecayOverTime(keras.callbacks.Callback):
    """Reduce learning rates along a cosine until a `TimeLimit` is reached.

    The rates are set when an epoch begins, and restored when it ends. List
    this callback before a `RunFolder`, which then saves the full rates. The
    rate of a network falls from the first epoch that trains it. With a
    warm-up it rises to the cosine at first, for at most a tenth of the time. A
    rate with a schedule keeps its schedule.

    Args:
        limit: The `TimeLimit` of the same `fit`.
        roles: The roles of a `MultiscaleModel` whose rates fall; all by
            default.
        warmup_steps: Steps in which a rate rises, starting at a quarter of
            it; each epoch uses the mean over its steps. 0 for no warm-up.

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

    def __init__(
        self,
        limit: TimeLimit,
        roles: Iterable[str] | None = None,
        warmup_steps: int = 0,
    ):
        super().__init__()
        self.warmup_steps = check_count("warmup_steps", warmup_steps, minimum=0)
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
            if passed < RISEN:
                share *= self._warm(optimizer)
            optimizer.learning_rate = share * rate

    def on_epoch_end(self, epoch, logs=None):
        for role, (_, rate) in self._starts.items():
            self.model.optimizer.by_role[role].learning_rate = rate

    def _warm(self, optimizer):
        """Return the warm-up's fraction of a learning rate, for an epoch."""
        if not self.warmup_steps:
            return 1.0
        first = int(keras.ops.convert_to_numpy(optimizer.iterations))
        steps = first + np.arange(self.params.get("steps") or 1)
        shares = START + (1 - START) * steps / self.warmup_steps
        return float(np.minimum(1.0, shares).mean())

    def _decaying(self):
        """Return the active optimizers whose rate is a number, by role."""
        optimizer = self.model.optimizer
        chosen = optimizer.active if self.roles is None else self.roles
        return {
            role: optimizer.by_role[role]
            for role in optimizer.active & chosen
            if not isinstance(
                optimizer.by_role[role]._learning_rate, LearningRateSchedule
            )
        }
