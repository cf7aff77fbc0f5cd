"""What `fit` does between the steps."""

import math
from collections.abc import Iterator
from typing import Any

import keras

from keras_wmgm.data.image_batches import ImageBatches
from keras_wmgm.training.parts import as_list
from keras_wmgm.utils.interrupts import Interrupts
from keras_wmgm.utils.interrupts import Kept


class Housekeeping(keras.callbacks.Callback):
    """The first of all callbacks of a `fit`.

    Within an epoch the networks hold their raw weights; between two epochs,
    and when `fit` ends, the averages that draw. So validation, and every
    callback at the end of an epoch, has what is drawn and saved.

    Args:
        data: What is learned from; it is told which epoch it is.
        interrupts: Ctrl-C is met after a batch.
        kept: The values from before, wanted until the first step is done.
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
    """Stop where a loss is not finite, for data that Keras reads itself.

    Only their first batch was checked.
    """

    def on_epoch_end(self, epoch, logs=None):
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The loss is not finite after epoch {epoch + 1}: an image of "
                "the data is not (they are read by Keras, and only their "
                "first batch was checked), or the learning rate is too high. "
                f"Received: loss={loss}"
            )


def first_callbacks(
    x: Any, data: Any, interrupts: Interrupts, kept: Kept
) -> list[keras.callbacks.Callback]:
    """Return what comes before the callbacks of a user.

    Args:
        x: The data as the user gave them.
        data: The data as Keras gets them.
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

    What it does is done by `Housekeeping`, and done twice it would be undone.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = callbacks.callbacks
    swap = keras.callbacks.SwapEMAWeights
    return [c for c in as_list(callbacks) if not isinstance(c, swap)]
