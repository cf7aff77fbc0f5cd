"""Streams of batches: finding and checking the images in them."""

import copy
import itertools
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from functools import partial
from typing import Any

import keras
import numpy as np

from keras_wmgm.data.image_batches import holds_images
from keras_wmgm.utils.images import check_range
from keras_wmgm.utils.images import check_shape
from keras_wmgm.utils.images import is_array
from keras_wmgm.utils.images import is_float
from keras_wmgm.utils.images import to_pixels
from keras_wmgm.utils.images import warn_of_unit_range

INFINITE = -1
"""`tf.data.INFINITE_CARDINALITY`."""


def image_of(batch: Any, key: Any = None) -> Any:
    """Return the images of a batch: the first entry of a tuple.

    Args:
        batch: Images, or a tuple, a list or a dictionary that holds them.
        key: The entry of a dictionary that holds them, as of `image_key`.
    """
    while isinstance(batch, (tuple, list, Mapping)):
        batch = batch[key if isinstance(batch, Mapping) else 0]
    return batch


def image_key(batch: Any) -> Any:
    """Return the key of the dictionary entry that holds the images.

    Args:
        batch: A batch as a stream yields it.

    Returns:
        The key; `None` if the batch is not a dictionary.

    Raises:
        ValueError: If none or several entries could be images, or a tuple is
            empty.
    """
    while isinstance(batch, (tuple, list)):
        if not batch:
            raise ValueError(
                "A batch must hold images, first in a tuple. "
                f"Received: an empty {type(batch).__name__}"
            )
        batch = batch[0]
    if not isinstance(batch, Mapping):
        return None
    keys = [k for k, v in batch.items() if len(getattr(v, "shape", ())) == 4]
    if len(keys) != 1:
        raise ValueError(
            "A dictionary must have one entry that is a batch of images, "
            "(batch, height, width, channels). "
            f"Received: a dictionary with the keys {list(batch)}, and "
            f"{len(keys)} such entries"
        )
    return keys[0]


def check_batch(batch: Any, image_shape: tuple) -> tuple[np.ndarray]:
    """Return the images of a batch as an array in a tuple, or refuse them.

    Args:
        batch: As of `image_of`.
        image_shape: `(height, width, channels)`.
    """
    images = _images(batch, image_shape)
    check_range(images)
    if not len(images):
        raise ValueError(
            "A batch must hold at least one image. "
            f"Received: shape={images.shape}"
        )
    return (images,)


def _images(batch, image_shape):
    images = image_of(batch, image_key(batch))
    images = keras.ops.convert_to_numpy(images)
    check_shape(images.shape, image_shape)
    return images


def checked_stream(data: Any, image_shape: tuple) -> Any:
    """Return a stream of images for Keras, with its first batch checked.

    All batches of a `PyDataset`, of an iterator, of a torch `DataLoader` and
    of data with a length are checked. A `tf.data.Dataset` stays one, so that
    Keras can distribute it.

    Args:
        data: A `tf.data.Dataset`, a `PyDataset`, or an iterable of batches.
        image_shape: `(height, width, channels)`.

    Raises:
        ValueError: If there is no batch, or if the first one is not of such
            images.
    """
    check = partial(check_batch, image_shape=image_shape)
    if hasattr(data, "collate_fn") and not has_length(data):
        data = _checked_loader(data, check)
    first = list(itertools.islice(_batches_of(data), 1))
    if not first:
        raise ValueError(
            "At least one image is needed, and the data has no batch. An "
            f"iterator can be read only once. Received: {type(data)}"
        )
    (images,) = check_batch(first[0], image_shape)
    if is_float(images):
        warn_of_unit_range(images.min())
    if hasattr(data, "__next__"):
        return (check(batch) for batch in itertools.chain(first, data))
    if isinstance(data, keras.utils.PyDataset):
        return CheckedDataset(data, check)
    if not hasattr(data, "element_spec") and has_length(data):
        return CheckedIterable(data, check)
    return _mapped(data, image_key(first[0]))


def _mapped(data, key):
    """Return a stream of images only, for Keras to iterate."""
    if hasattr(data, "element_spec") or _is_grain(data):
        return data.map(partial(_mapped_image, key=key))
    if key is not None:
        raise ValueError(
            "Data with batches that are dictionaries must have a length. Give "
            "the dataset of a `DataLoader` a `__len__`, or collate tuples "
            f"`(images,)`. Received: {type(data)}"
        )
    return data


def _is_grain(data):
    """Whether it is a data set of `grain`, which is not imported for this."""
    modules = [cls.__module__ for cls in type(data).__mro__]
    is_grain = any(m.partition(".")[0] == "grain" for m in modules)
    return is_grain and hasattr(data, "map")


def _checked_loader(loader, check):
    """Return a torch `DataLoader` without a length that checks its batches.

    Keras iterates it itself, and anew for every epoch.
    """
    loader = copy.copy(loader)
    loader.collate_fn = CheckedCollate(loader.collate_fn, check)
    return loader


def _mapped_image(*batch, key):
    return image_of(batch, key)


def _batches_of(data):
    """Return an iterator over the batches of a stream."""
    if not isinstance(data, keras.utils.PyDataset):
        return iter(data)
    count = data.num_batches
    indices = itertools.count() if count is None else range(count)
    return (data[i] for i in indices)


def has_length(data: Any) -> bool:
    """Whether `len` works: that of a torch `DataLoader` may fail."""
    try:
        return len(data) >= 0
    except (TypeError, NotImplementedError):
        return False


def is_endless(data: Any) -> bool:
    """Whether a stream is known to have no end."""
    if isinstance(data, keras.utils.PyDataset):
        return data.num_batches is None
    cardinality = getattr(data, "cardinality", None)
    return callable(cardinality) and int(cardinality()) == INFINITE


def pixel_batches(
    data: Any, image_shape: tuple, batch_size: int = 64
) -> Iterator[np.ndarray]:
    """Yield float32 batches in [-1, 1] from any data that `fit` takes, once.

    Args:
        data: An array of images, a `keras.utils.PyDataset`, or an iterable of
            batches (a `tf.data.Dataset`, a torch `DataLoader`, a generator),
            each as of `image_of`.
        image_shape: `(height, width, channels)`.
        batch_size: Batch size of an array.
    """
    if holds_images(data):
        data = data.images  # an epoch may leave some out
    if is_endless(data):
        raise ValueError(
            "The statistics are read in one pass, and this data has no end: "
            "pass data that ends, such as `dataset.take(100)`. "
            f"Received: {type(data)}"
        )
    if is_array(data):
        starts = range(0, len(data), batch_size)
        batches = (data[i : i + batch_size] for i in starts)
    else:
        batches = _batches_of(data)
    lowest = []
    for batch in batches:
        images = _images(batch, image_shape)
        yield to_pixels(images)
        if images.size:
            lowest.append(images.min() if is_float(images) else -1.0)
    if lowest:
        warn_of_unit_range(min(lowest))


class CheckedDataset(keras.utils.PyDataset):
    """A `PyDataset` that checks every batch of another.

    Args:
        data: The other `PyDataset`.
        check: Function that checks a batch and returns its images.
    """

    def __init__(self, data: keras.utils.PyDataset, check: Callable):
        super().__init__(
            data.workers, data.use_multiprocessing, data.max_queue_size
        )
        self.data = data
        self.check = check

    @property
    def num_batches(self):
        return self.data.num_batches

    def __getitem__(self, index):
        return self.check(self.data[index])

    def on_epoch_begin(self):
        self.data.on_epoch_begin()

    def on_epoch_end(self):
        self.data.on_epoch_end()


class CheckedCollate:
    """Makes batches of samples, checks them, and keeps their images.

    Args:
        collate: Makes a batch.
        check: What a batch goes through.
    """

    def __init__(self, collate: Callable, check: Callable):
        self.collate = collate
        self.check = check

    def __call__(self, samples: list) -> tuple:
        batch = self.collate(samples)
        self.check(batch)
        return (image_of(batch, image_key(batch)),)


class CheckedIterable(keras.utils.PyDataset):
    """A `PyDataset` that checks every batch of an iterable with a length.

    Keras asks for the batches in order; index 0 restarts the iteration.

    Args:
        data: The iterable.
        check: Function that checks a batch and returns its images.
    """

    def __init__(self, data: Any, check: Callable):
        super().__init__()
        self.data = data
        self.check = check
        self.batches = iter(())

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        if index == 0:
            self.batches = iter(self.data)
        for batch in self.batches:
            return self.check(batch)
        raise ValueError(
            "The data must yield as many batches as `len` says. Received: "
            f"{type(self.data)}, which yielded {index} of {len(self)} batches"
        )
