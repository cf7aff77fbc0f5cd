"""The base class of the networks."""

from typing import Any

import keras

from keras_wmgm.layers.scale_embedding import ScaleEmbedding
from keras_wmgm.utils.checks import check_divisible


class Network(keras.Model):
    """A functional Keras model whose image inputs must fit its strides.

    A subclass builds its graph in `__init__` and passes it to this class,
    with its own arguments. The inputs are a dictionary by name; the height
    and width of images are unknown.

    Args:
        inputs: Dictionary of `keras.Input`s.
        outputs: The graph's output.
        size_multiple: The height and width of every image input must be
            multiples of this.
        config: The subclass's own arguments. A `dtype` of `None`, the
            default, means the global policy, also after the configuration
            is loaded.
        name: As of `keras.Model`.
        trainable: As of `keras.Model`.
    """

    def __init__(
        self,
        inputs: dict,
        outputs: Any,
        size_multiple: int,
        config: dict,
        name: str | None = None,
        trainable: bool = True,
    ):
        # By name, because Keras silently drops unknown arguments.
        super().__init__(
            inputs=inputs, outputs=outputs, name=name, trainable=trainable
        )
        self.size_multiple = size_multiple
        self.config = config

    def __call__(self, inputs, *args, **kwargs):
        # Not in `call`, where Keras would add the arrays to the message.
        if isinstance(inputs, dict):
            for name, x in inputs.items():
                if len(x.shape) == 4:
                    what = f"{type(self).__name__}, input {name!r},"
                    check_divisible(x.shape, self.size_multiple, what)
        return super().__call__(inputs, *args, **kwargs)

    def get_config(self):
        config = {"name": self.name, "trainable": self.trainable}
        return {**config, **self.config}


def image_input(name: str, channels: int):
    """Return a `keras.Input` for images of any size."""
    return keras.Input((None, None, channels), name=name)


def scale_input(inputs: dict, num_scales: int | None, units: int, dtype):
    """Add `"scale"` to `inputs` and embed it, if `num_scales` is set."""
    if not num_scales:
        return None
    inputs["scale"] = keras.Input((), name="scale")
    return ScaleEmbedding(num_scales, units, dtype=dtype)(inputs["scale"])
