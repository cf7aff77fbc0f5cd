"""Learning rates that follow the clock."""

import math
from collections.abc import Iterable

import keras
import numpy as np
from keras.optimizers.schedules import LearningRateSchedule

from keras_wmgm.callbacks.stopping import TimeLimit
from keras_wmgm.utils.checks import check_count

FLOOR = 0.02
"""The share of a learning rate that is left at the end."""
START = 0.25
"""The share of it that there is at first, where it rises."""
RISEN = 0.1
"""The share of the time after which it has risen, in however few steps."""


class DecayOverTime(keras.callbacks.Callback):
    """Let learning rates fall along a cosine until a `TimeLimit` is reached.

    They are set as an epoch begins. A network's rate falls from the epoch on
    in which it is trained first, and rises to where it would be in its first
    steps, or in a tenth of the time; one that has a schedule keeps to it. The
    end of an epoch leaves the rates as it found them: stand it before a
    `RunFolder`, and they are saved so.

    Args:
        limit: The `TimeLimit` beside it.
        roles: Of which networks of a `MultiscaleModel`; of all by default.
        warmup_steps: Steps in which a rate rises, from a quarter of it; an
            epoch has their mean. 0 to begin with all.

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
        """Return the share of its rate that an optimizer has in an epoch."""
        if not self.warmup_steps:
            return 1.0
        first = int(keras.ops.convert_to_numpy(optimizer.iterations))
        steps = first + np.arange(self.params.get("steps") or 1)
        shares = START + (1 - START) * steps / self.warmup_steps
        return float(np.minimum(1.0, shares).mean())

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
