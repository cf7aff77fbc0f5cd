"""Checks of the arguments and data of `fit` and `evaluate`."""

import inspect
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import keras

from keras_wmgm.data.image_batches import ImageBatches
from keras_wmgm.data.image_batches import holds_images
from keras_wmgm.data.streams import check_batch
from keras_wmgm.data.streams import checked_stream
from keras_wmgm.data.streams import is_endless
from keras_wmgm.utils.checks import check_choice
from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.checks import check_optional_count
from keras_wmgm.utils.images import check_images
from keras_wmgm.utils.images import is_array

REFUSED = ("y", "sample_weight", "class_weight", "validation_split")
VALIDATION = ("validation_steps", "validation_batch_size")
BATCH_SIZE = 32
"""The default of Keras."""


def check_arguments(method: Callable, kwargs: dict) -> None:
    """Refuse arguments that Keras does not know or that do not apply here.

    Args:
        method: Keras's `fit` or `evaluate`.
        kwargs: Its keyword arguments.
    """
    what, names = method.__name__, inspect.signature(method).parameters
    for name, value in kwargs.items():
        check_choice("argument", name, names)
        if name in REFUSED and value is not None:
            raise TypeError(
                f"`{what}` learns from images alone and takes no `{name}`"
                f"{'; split the array' if 'split' in name else ''}. "
                f"Received: {name}={type(value)}"
            )
    _check_epochs(**kwargs)
    if kwargs.get("validation_data") is None:
        _refuse(kwargs, VALIDATION, "needs `validation_data`")


def _check_epochs(epochs=1, initial_epoch=0, validation_freq=1, **others):
    check_count("epochs", epochs, minimum=0)
    check_count("initial_epoch", initial_epoch, minimum=0)
    if epochs < initial_epoch:
        raise ValueError(
            "`epochs` is the number of the last epoch, not how many more to "
            "train: it must be at least `initial_epoch`. "
            f"Received: epochs={epochs}, initial_epoch={initial_epoch}"
        )
    if not isinstance(validation_freq, (list, tuple, set)):
        check_count("validation_freq", validation_freq)


def _refuse(kwargs, names, why):
    for name in names:
        if kwargs.get(name) is not None:
            raise ValueError(
                f"`{name}` {why}. Received: {name}={kwargs[name]!r}"
            )


def training_data(
    x: Any, image_shape: tuple, kwargs: dict, seed: int
) -> tuple[Any, dict]:
    """Return the data and the arguments for Keras's `fit`.

    Arrays become `ImageBatches`, whose order is a function of seed and epoch.
    With Keras's `steps_per_epoch` an epoch would start in the middle of an
    order, so it becomes `max_batches`.

    Args:
        x: As of `fit`.
        image_shape: `(height, width, channels)`.
        kwargs: The arguments of `fit`.
        seed: Seed of the order of an array.

    Returns:
        A tuple `(data, kwargs)`.
    """
    x = check_data("fit", x, image_shape)
    steps, shuffle = kwargs.get("steps_per_epoch"), kwargs.get("shuffle")
    check_optional_count("steps_per_epoch", steps)
    if shuffle is not None:
        check_choice("shuffle", shuffle, (True, False))
    own = {"batch_size": None, "steps_per_epoch": None, "shuffle": False}
    if is_array(x):
        size = _batch_size("batch_size", kwargs) or BATCH_SIZE
        data = ImageBatches(x, size, shuffle is not False, seed=seed)
        return _limited("steps_per_epoch", data, steps), {**kwargs, **own}
    _refuse(kwargs, ("batch_size",), "is for arrays; set it in the data")
    if isinstance(x, ImageBatches):
        _refuse(kwargs, ("shuffle",), "is for arrays; set it in `ImageBatches`")
        return _limited("steps_per_epoch", x, steps), {**kwargs, **own}
    check_ends("fit", x, steps, "steps_per_epoch")
    if not isinstance(x, keras.utils.PyDataset):
        _refuse(kwargs, ("shuffle",), "is for arrays; shuffle the data")
        kwargs = {**kwargs, "shuffle": False}
    return checked_stream(x, image_shape), kwargs


def held_out_data(
    x: Any,
    image_shape: tuple,
    kwargs: dict,
    names: tuple[str, str, str] = ("evaluate", "batch_size", "steps"),
    batch_size: int = BATCH_SIZE,
) -> tuple[Any, dict]:
    """Return the data and the arguments for Keras's `evaluate`.

    All images of an array or of `ImageBatches` are evaluated, in their order
    and without mirroring.

    Args:
        x: As of `evaluate`.
        image_shape: `(height, width, channels)`.
        kwargs: The arguments of `fit` or `evaluate`.
        names: The names of the data and of their two arguments.
        batch_size: Batch size of an array, if `kwargs` have none.

    Returns:
        A tuple `(data, kwargs)`.
    """
    what, size_name, steps_name = names
    x = check_data(what, x, image_shape)
    steps = check_optional_count(steps_name, kwargs.get(steps_name))
    size = _batch_size(size_name, kwargs)
    if holds_images(x):
        x, size = x.images, size or x.batch_size
    if is_array(x):
        data = ImageBatches(x, size or batch_size, shuffle=False)
        kwargs = {**kwargs, size_name: None, steps_name: None}
        return _limited(steps_name, data, steps), kwargs
    _refuse(kwargs, (size_name,), "is for arrays; set it in the data")
    check_ends(what, x, steps, steps_name)
    return checked_stream(x, image_shape), kwargs


def validation_data(data: Any, image_shape: tuple, kwargs: dict) -> dict:
    """Return the arguments of `fit` with checked `validation_data`.

    Args:
        data: The training data; its batch size is the default of the
            validation.
        image_shape: `(height, width, channels)`.
        kwargs: The arguments of `fit`.
    """
    x = kwargs.get("validation_data")
    if x is None:
        return kwargs
    if isinstance(x, (tuple, list)) and x:
        x, *targets = x
        if any(target is not None for target in targets):
            raise TypeError(
                "`validation_data` is images alone, without targets and "
                f"weights. Received: a tuple of {1 + len(targets)}"
            )
    names = ("validation_data", "validation_batch_size", "validation_steps")
    size = getattr(data, "batch_size", None) or BATCH_SIZE
    held_out, kwargs = held_out_data(x, image_shape, kwargs, names, size)
    return {**kwargs, "validation_data": held_out}


def _batch_size(name, kwargs):
    return check_optional_count(name, kwargs.get(name))


def _limited(name, batches, steps):
    """Return batches with so many steps in an epoch."""
    if steps is None or steps == len(batches):
        return batches
    if steps > len(batches):
        raise ValueError(
            f"`{name}` must be at most {len(batches)}, which is one pass "
            "over the images. Train for more epochs instead. "
            f"Received: {name}={steps}"
        )
    return batches.shortened(steps)


def check_data(what: str, x: Any, image_shape: tuple) -> Any:
    """Return the data, tensors as NumPy arrays, or refuse it.

    Args:
        what: The name of the method or argument, for the message.
        x: The data that the user passed.
        image_shape: `(height, width, channels)`.
    """
    if keras.ops.is_tensor(x):
        x = keras.ops.convert_to_numpy(x)
    if is_array(x):
        check_images(x, image_shape)
    elif holds_images(x):
        check_images(x.images, image_shape)
    elif isinstance(x, ImageBatches):
        check_batch(x[0], image_shape)
    elif isinstance(x, (str, bytes, Mapping, list, tuple)) or not (
        hasattr(x, "__iter__") or isinstance(x, keras.utils.PyDataset)
    ):
        raise ValueError(
            f"`{what}` takes an array of images, a `tf.data.Dataset`, a "
            "`keras.utils.PyDataset`, a torch `DataLoader` or a generator of "
            f"batches of images. Received: {type(x)}"
        )
    return x


def check_ends(
    what: str, x: Any, steps: int | None, name: str = "steps_per_epoch"
) -> None:
    """Refuse an epoch that would never end.

    Args:
        what: The name of the method or argument, for the message.
        x: The data.
        steps: Batches of an epoch, or `None` for all.
        name: The name of the argument `steps`.
    """
    if steps is None and (is_endless(x) or hasattr(x, "__next__")):
        raise ValueError(
            f"`{what}` cannot tell where this data ends, if it does: pass "
            f"`{name}`, or data that ends. Received: {type(x)}"
        )


def check_reiterable(x: Any) -> None:
    """Refuse data that is endless or can be read only once."""
    if is_endless(x) or hasattr(x, "__next__"):
        raise ValueError(
            "The model has no band statistics yet, and reading them from "
            "this data would use it up or never end: call `adapt(images)` "
            f"first, or pass data that ends. Received: {type(x)}"
        )
