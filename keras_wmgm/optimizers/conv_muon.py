"""Muon for the kernels of convolutions."""

import math
import re

import keras
from keras import ops

from keras_wmgm.types import Tensor
from keras_wmgm.utils.serialization import register

MIN_CHANNELS = 16


@register
class ConvMuon(keras.optimizers.Muon):
    """Keras's `Muon`, applied to convolutions too.

    Muon makes the update of a matrix orthogonal, so all its directions are
    learned at the same speed, while Adam follows the strongest. Keras's class
    does this for matrices only, and a U-Net has few. Here the kernel of a
    convolution, `(height, width, in, out)`, is taken as the matrix
    `(height * width * in, out)`. Adam updates kernels with fewer than 16
    channels on either side, such as those of a network's first and last
    convolution, and weights with neither two nor four dimensions, at
    `adam_lr_ratio` times the learning rate.

    The matrix products run in the compute dtype of the global policy, for
    example bfloat16 under `mixed_bfloat16`.

    Args:
        learning_rate: A number or a schedule; 4e-3 is as suitable as 1e-3 is
            for Adam.
        adam_lr_ratio: Adam's learning rate as a fraction of this one.
        weight_decay: Weight decay of the kernels; `None` for none.
        adam_weight_decay: Weight decay of the weights that Adam updates,
            times the whole learning rate; `None` for none.
        exclude_embeddings: Whether Adam updates weights with "embedding" in
            their path, such as those of a time embedding.
        **kwargs: Arguments of `keras.optimizers.Muon`.

    Example:

    ```python
    optimizer = keras_wmgm.optimizers.ConvMuon(4e-3, use_ema=True)
    model.compile(optimizer)
    ```

    Reference:
        Jordan, "Muon: An optimizer for hidden layers in neural networks"
        ([kellerjordan.github.io](https://kellerjordan.github.io/posts/muon/));
        Liu et al., "Muon is Scalable for LLM Training"
        ([arXiv:2502.16982](https://arxiv.org/abs/2502.16982)), for the size
        of the step.
    """

    def __init__(
        self,
        learning_rate=4e-3,
        adam_lr_ratio: float = 0.25,
        weight_decay: float | None = None,
        adam_weight_decay: float | None = None,
        exclude_embeddings: bool = False,
        **kwargs,
    ):
        super().__init__(
            learning_rate,
            adam_lr_ratio=adam_lr_ratio,
            weight_decay=weight_decay,
            adam_weight_decay=adam_weight_decay,
            exclude_embeddings=exclude_embeddings,
            **kwargs,
        )

    def _should_use_adamw(self, variable):
        shape, path = variable.shape, variable.path
        if len(shape) not in (2, 4) or min(shape[-2:]) < MIN_CHANNELS:
            return True
        if self.exclude_embeddings and "embedding" in path.lower():
            return True
        return any(re.search(name, path) for name in self.exclude_layers)

    def zeropower_via_newtonschulz5(self, x: Tensor, steps: int) -> Tensor:
        """Return an almost orthogonal step of the kernel's shape."""
        dtype = keras.config.dtype_policy().compute_dtype
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        # Before the cast, as squares of small numbers are 0 in half precision.
        matrix = matrix / (ops.norm(matrix) + 1e-20)
        near = super().zeropower_via_newtonschulz5(
            ops.cast(matrix, dtype), steps
        )
        return ops.cast(ops.reshape(near, x.shape), x.dtype)

    def lr_adjust(self, x: Tensor) -> Tensor:
        """Return the step scaled to a root mean square of `rms_rate`."""
        if self.rms_rate is None:
            return x
        rows, columns = math.prod(x.shape[:-1]), x.shape[-1]
        return x * (max(rows, columns) ** 0.5 * self.rms_rate)
