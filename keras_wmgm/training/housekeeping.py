"""The callbacks that `fit` adds for itself."""

import math
from collections.abc import Iterator
from typing import Any

import keras

from keras_wmgm.data.image_batches import ImageBatches
from keras_wmgm.training.parts import as_list
from keras_wmgm.utils.interrupts import Interrupts
from keras_wmgm.utils.interrupts import Kept


class Housekeeping(keras.callbacks.Callback):
    """The callback that runs before all others of a `fit`.

    Within an epoch the networks hold their raw weights. Between epochs, and
    when `fit` ends, they hold the averages. So validation, and every callback
    at the end of an epoch, uses the weights that draw and that are saved.

    Args:
        data: The training data; its `set_epoch` is called, if it has one.
        interrupts: Checked for Ctrl-C after every batch.
        kept: The values from before `fit`, released after the first step.
    """

    def __init__(self, data: Any, interrupts: Interrupts, kept: Kept):
        super().__init__()
        self.data, self.interrupts, self.kept = data, interrupts, kept

    def on_epoch_begin(self, epoch, logs=None):
        self.interrupts.check()
        self.model.use_average(False)
        if hasattr(self.data, "set_epoch"):
            self.data.set_epoch(epoch)

    def on_train_batch_end(self, batch, logs=None):
        self.kept.release()
        self.interrupts.check()

    def on_test_batch_end(self, batch, logs=None):
        self.interrupts.check()

    def on_epoch_end(self, epoch, logs=None):
        self.model.epochs_trained = epoch + 1
        self.model.use_average(True)


class FiniteLoss(keras.callbacks.Callback):
    """Raise an error if a loss is not finite, for data that Keras reads.

    Only the first batch of such data was checked.
    """

    def on_epoch_end(self, epoch, logs=None):
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The loss is not finite after epoch {epoch + 1}: the "
                "learning rate is too high, or an image is not finite (only "
                "the first batch was checked, as Keras reads this data). "
                f"Received: loss={loss}"
            )


def first_callbacks(
    x: Any, data: Any, interrupts: Interrupts, kept: Kept
) -> list[keras.callbacks.Callback]:
    """Return the callbacks that run before those of the user.

    Args:
        x: The data that the user gave.
        data: The data that Keras gets.
        interrupts: As of `Housekeeping`.
        kept: As of `Housekeeping`.
    """
    if isinstance(data, ImageBatches):
        return [Housekeeping(data, interrupts, kept)]
    first = [Housekeeping(x, interrupts, kept)]
    checked = isinstance(data, (keras.utils.PyDataset, Iterator))
    return first if checked else [*first, FiniteLoss()]


def without_swaps(callbacks: Any) -> list[keras.callbacks.Callback]:
    """Return callbacks as a list, without `SwapEMAWeights`.

    `Housekeeping` does the same, and a second swap would undo the first.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    swap = keras.callbacks.SwapEMAWeights
    return [c for c in as_list(callbacks) if not isinstance(c, swap)]
