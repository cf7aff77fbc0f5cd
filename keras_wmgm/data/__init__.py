"""From images on a disk or in memory to batches for `fit`."""

from keras_wmgm.data.image_batches import ImageBatches as ImageBatches
from keras_wmgm.data.image_folder import image_files as image_files
from keras_wmgm.data.image_folder import image_folder as image_folder
from keras_wmgm.data.image_folder import load_image as load_image
from keras_wmgm.data.image_folder import load_images as load_images
