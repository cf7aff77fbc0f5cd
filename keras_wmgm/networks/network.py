"""What the three kinds of network have in common."""

from typing import Any

import keras

from keras_wmgm.layers.scale_embedding import ScaleEmbedding
from keras_wmgm.utils.checks import check_divisible


class Network(keras.Model):
    """A functional Keras model whose image inputs must fit its strides.

    A subclass draws its graph in `__init__` and hands it over, with the
    arguments it was made from. All take a dictionary of named inputs, the
    images among them of unknown height and width.

    Args:
        inputs: Dictionary of `keras.Input`s.
        outputs: The graph's output.
        size_multiple: What the height and width of every image input must be
            a multiple of.
        config: The subclass's own arguments. A `dtype` of `None`, the
            default, means the global policy, also when the configuration is
            read back.
        name: Keras's.
        trainable: Keras's.
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
        # By name: Keras would take unknown arguments and drop them.
        super().__init__(
            inputs=inputs, outputs=outputs, name=name, trainable=trainable
        )
        self.size_multiple = size_multiple
        self.config = config

    def __call__(self, inputs, *args, **kwargs):
        # Not in `call`: Keras would print the arrays beside the message.
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
    """Add `"scale"` to `inputs` and embed it, if there are several scales."""
    if not num_scales:
        return None
    inputs["scale"] = keras.Input((), name="scale")
    return ScaleEmbedding(num_scales, units, dtype=dtype)(inputs["scale"])
