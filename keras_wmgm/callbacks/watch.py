"""A watch over losses, weights and the spread of details."""

import math
from collections.abc import Callable

import keras
import numpy as np

RANGES = {"std_ratio": (0.7, 1.4), "spread": (0.02, math.inf)}
"""The ranges in which the measures of a factor should be."""


class Watch(keras.callbacks.Callback):
    """Stop when training fails, and warn when a spread is wrong.

    It raises an error if a loss is not finite, or a weight: the losses of an
    epoch do not show the effect of its last step. List this callback before a
    `RunFolder`, which then keeps the last good run.

    A `std_ratio` outside of [0.7, 1.4] means that a factor draws details much
    weaker or stronger than those of the data, or has not learned yet. A
    `spread` near 0 means that a generator has collapsed and ignores its
    noise. Each warning is given once, until the measure is right again.

    Args:
        tell: Called with a line for each warning; `print` by default.

    Example:

    ```python
    callbacks = [keras_wmgm.callbacks.Watch(), run_folder]
    model.fit(images, epochs=100, callbacks=callbacks)
    ```
    """

    def __init__(self, tell: Callable[[str], None] = print):
        super().__init__()
        self.tell = tell
        self.told = set()

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        for name, value in logs.items():
            if not math.isfinite(value):
                raise _failure(f"`{name}` is {value}", epoch)
        for variable in self.model.trainable_variables:
            if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
                raise _failure(f"`{variable.path}` is not finite", epoch)
        for name, value in logs.items():
            measure = name.rpartition("_")[0]
            if measure in RANGES:
                self._compare(name, value, *RANGES[measure], epoch)

    def _compare(self, name, value, lowest, highest, epoch):
        if lowest <= value <= highest:
            self.told.discard(name)
        elif name not in self.told:
            self.told.add(name)
            wanted = f"within {lowest} and {highest}"
            if highest == math.inf:
                wanted = f"above {lowest}"
            self.tell(
                f"epoch {epoch + 1}: {name} is {value:.2f}, and should be "
                f"{wanted}"
            )


def _failure(what, epoch):
    return FloatingPointError(
        f"{what} after epoch {epoch + 1}: lower the learning rate, or clip "
        "the gradients (`global_clipnorm`). What was saved before is kept."
    )
