"""What `fit` and `evaluate` take, checked before any work starts."""

from typing import Any

import keras
import numpy as np

from keras_wmgm.data.image_batches import ImageBatches
from keras_wmgm.utils.images import is_array
from keras_wmgm.utils.images import to_pixels

REFUSED = ("y", "sample_weight", "class_weight", "validation_split")


def check_arguments(what: str, kwargs: dict) -> None:
    """Refuse arguments of Keras's that mean nothing without targets."""
    for name in REFUSED:
        if kwargs.get(name) is not None:
            raise TypeError(
                f"`{what}` learns from images alone and takes no `{name}`"
                f"{'; split the array' if 'split' in name else ''}. "
                f"Received: {name}={type(kwargs[name])}"
            )


def check_data(what: str, x: Any, image_shape: tuple) -> Any:
    """Return the data, an array as NumPy's, or refuse it.

    Args:
        what: Who asks, for the message.
        x: Anything a user might pass.
        image_shape: `(height, width, channels)`.
    """
    if keras.ops.is_tensor(x):
        x = keras.ops.convert_to_numpy(x)
    if is_array(x):
        check_images(x, image_shape)
    elif isinstance(x, ImageBatches):
        check_images(x.images, image_shape)
    elif isinstance(x, (str, bytes, dict, list, tuple)) or not (
        hasattr(x, "__iter__") or isinstance(x, keras.utils.PyDataset)
    ):
        raise ValueError(
            f"`{what}` takes an array of images, a `tf.data.Dataset`, a "
            "`keras.utils.PyDataset`, a torch `DataLoader` or a generator of "
            f"tuples `(images,)`. Received: {type(x)}"
        )
    return x


def check_validation(data: Any, image_shape: tuple) -> None:
    """Refuse held-out images as `check_data` does, alone or in a tuple."""
    while isinstance(data, (tuple, list)) and data:
        data = data[0]
    if data is not None:
        check_data("validation_data", data, image_shape)


def check_images(images: np.ndarray, image_shape: tuple) -> None:
    """Refuse an array that holds no images, or others than the model's."""
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[1:] != tuple(image_shape) or not shape[0]:
        raise ValueError(
            "At least one image is needed, and all of shape (num_images, "
            f"{', '.join(map(str, image_shape))}). Received: shape={shape}"
        )
    for start in range(0, len(images), 1024):
        to_pixels(images[start : start + 1024])


def check_reiterable(x: Any) -> None:
    """Refuse data that reading the statistics from would use up or not end."""
    endless = isinstance(x, keras.utils.PyDataset) and x.num_batches is None
    if hasattr(x, "cardinality"):
        endless = endless or int(x.cardinality()) == -1
    if hasattr(x, "__next__") or endless:
        raise ValueError(
            "The model has no band statistics yet, and reading them from "
            "this data would use it up or never end: call `adapt(images)` "
            f"first, or pass data that ends. Received: {type(x)}"
        )


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
