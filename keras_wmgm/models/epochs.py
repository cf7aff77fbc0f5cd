"""What happens around the epochs of `fit`."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_wmgm.data.image_batches import ImageBatches


def epoch_callbacks(x: Any, data: Any) -> list[keras.callbacks.Callback]:
    """Return what `fit` itself does after epochs.

    Args:
        x: The data as the user gave them.
        data: The data as Keras gets them.
    """
    if isinstance(data, ImageBatches):
        return [EpochCounter(data)]
    if isinstance(data, (keras.utils.PyDataset, Iterator)):
        return [EpochCounter(x)]
    return [EpochCounter(x), FiniteLoss()]


@contextmanager
def averages_shown(model: keras.Model):
    """Let a model hold the averages of its weights for a while."""
    averaged = model.averaged
    model.use_average(True)
    try:
        yield
    finally:
        if hasattr(model, "jax_state_sync"):
            model.jax_state_sync()  # it holds the weights if that failed
        model.use_average(averaged)


class EpochCounter(keras.callbacks.Callback):
    """Count epochs over several `fit`s, and tell the data which it is.

    Args:
        data: What is learned from.
    """

    def __init__(self, data: Any):
        super().__init__()
        self.data = data

    def on_epoch_begin(self, epoch, logs=None):
        if hasattr(self.data, "set_epoch"):
            self.data.set_epoch(epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.model.epochs_trained = epoch + 1


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
