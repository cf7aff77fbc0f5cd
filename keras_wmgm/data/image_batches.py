"""Batches of an array of images, in a reproducible order."""

import copy
from typing import Any

import keras
import numpy as np

from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.checks import check_optional_count


class ImageBatches(keras.utils.PyDataset):
    """Batches of an array of images, in a reproducible order.

    The order is a function of the seed and the epoch, so an interrupted
    training run can be resumed exactly. With `shuffle`, images that do not
    fill a last batch are left out of the epoch, so all batches have the same
    size and nothing is compiled twice.

    Args:
        images: `(num_images, height, width, channels)`, uint8 or floats in
            [-1, 1]; also a memory-mapped array.
        batch_size: Images per batch; at most all images.
        shuffle: Whether each epoch has another random order.
        flip: Whether each image is mirrored with probability 1/2.
        seed: Seed of order and mirroring.
        max_batches: The most batches of an epoch; `None` for all. With it,
            the callbacks after an epoch come earlier on a large set.
        **kwargs: Arguments of `keras.utils.PyDataset` (`workers`, ...).

    Example:

    >>> images = np.zeros((10, 8, 8, 3), "uint8")
    >>> batches = keras_wmgm.data.ImageBatches(images, batch_size=4)
    >>> len(batches), batches[0].shape
    (2, (4, 8, 8, 3))
    """

    def __init__(
        self,
        images: Any,
        batch_size: int = 32,
        shuffle: bool = True,
        flip: bool = False,
        seed: int = 0,
        max_batches: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not len(images):
            raise ValueError(
                "`images` must hold at least one image. "
                f"Received: shape={tuple(images.shape)}"
            )
        self.images = images
        self.batch_size = min(
            check_count("batch_size", batch_size), len(images)
        )
        self.shuffle = bool(shuffle)
        self.flip = bool(flip)
        self.seed = check_count("seed", seed, minimum=0)
        self.max_batches = check_optional_count("max_batches", max_batches)
        self.set_epoch(0)

    def shortened(self, max_batches: int) -> "ImageBatches":
        """Return the same batches with at most so many in an epoch."""
        batches = copy.copy(self)
        batches.max_batches = check_count("max_batches", max_batches)
        return batches

    def set_epoch(self, epoch: int) -> None:
        """Set the order and the mirroring of an epoch."""
        self.epoch = epoch
        rng = np.random.default_rng((self.seed, epoch))
        count = len(self.images)
        self.order = rng.permutation(count) if self.shuffle else range(count)
        self.mirrored = rng.random(count) < (0.5 if self.flip else 0.0)

    def on_epoch_end(self):
        self.set_epoch(self.epoch + 1)

    def __len__(self):
        count = len(self.images) // self.batch_size
        if not self.shuffle:
            count = -(-len(self.images) // self.batch_size)
        return min(count, self.max_batches or count)

    def __getitem__(self, index):
        start = index * self.batch_size
        chosen = np.asarray(self.order[start : start + self.batch_size])
        # A memory map is read fastest in ascending order.
        ascending = np.sort(chosen)
        places = np.searchsorted(ascending, chosen)
        batch = np.asarray(self.images[ascending])[places]
        mirrored = self.mirrored[start : start + len(chosen), None, None, None]
        return np.where(mirrored, batch[:, :, ::-1], batch)


def holds_images(data: Any) -> bool:
    """Whether `data.images` are what the batches are made of.

    A subclass with batches of its own has to be read batch by batch.
    """
    own = ImageBatches.__getitem__
    return isinstance(data, ImageBatches) and type(data).__getitem__ is own
