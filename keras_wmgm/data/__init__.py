"""Reading images as batches for `fit`, and writing images to files."""

from keras_wmgm.data.image_batches import ImageBatches as ImageBatches
from keras_wmgm.data.image_folder import image_files as image_files
from keras_wmgm.data.image_folder import image_folder as image_folder
from keras_wmgm.data.image_folder import load_image as load_image
from keras_wmgm.data.image_folder import load_images as load_images
from keras_wmgm.utils.files import image_grid as image_grid
from keras_wmgm.utils.files import save_image as save_image
