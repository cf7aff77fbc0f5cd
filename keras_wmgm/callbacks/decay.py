"""Learning rates that follow the clock."""

import math
from collections.abc import Iterable

import keras

from keras_wmgm.callbacks.stopping import TimeLimit

FLOOR = 0.02
"""The share of a learning rate that is left at the end."""


class DecayOverTime(keras.callbacks.Callback):
    """Let learning rates fall along a cosine until a `TimeLimit` is reached.

    They are set as an epoch begins. Rates that have a schedule of their own
    keep to it.

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
        self._rates = None

    def on_epoch_begin(self, epoch, logs=None):
        optimizers = self._optimizers()
        if self._rates is None:
            self._rates = [float(o.learning_rate) for o in optimizers]
        passed = min(1.0, self.limit.elapsed / self.limit.seconds)
        share = FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * passed)) / 2
        for optimizer, rate in zip(optimizers, self._rates, strict=True):
            optimizer.learning_rate = share * rate

    def _optimizers(self):
        """Return the optimizers whose rate is a number."""
        optimizer = self.model.optimizer
        inner = getattr(optimizer, "by_role", {"": optimizer})
        schedules = keras.optimizers.schedules.LearningRateSchedule
        return [
            o
            for role, o in inner.items()
            if (self.roles is None or role in self.roles)
            and not isinstance(o._learning_rate, schedules)
        ]
