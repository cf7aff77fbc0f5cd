"""From images on a disk or in memory to batches for `fit`."""

from keras_wmgm.data.image_batches import ImageBatches as ImageBatches
