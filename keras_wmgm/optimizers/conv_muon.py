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
    """Keras's `Muon`, which steps convolutions too.

    The step of a matrix is made orthogonal: all its directions are learned at
    one speed, where Adam follows the strongest. Keras's class does so with
    matrices only, and a U-Net has next to none. Here the kernel of a
    convolution, `(height, width, in, out)`, is the matrix
    `(height * width * in, out)`. Kernels with fewer than 16 channels on either
    side, as a network's first and last convolution have, and all that is
    neither of four dimensions nor of two are stepped by Adam, at
    `adam_lr_ratio` times the learning rate.

    The products run in the global policy's compute dtype, so in bfloat16
    under `mixed_bfloat16`.

    Args:
        learning_rate: A number or a schedule; 4e-3 suits where 1e-3 suits
            Adam.
        adam_lr_ratio: Adam's rate over this one.
        weight_decay: That of kernels; `None` for none.
        adam_weight_decay: That of what Adam steps, times the whole learning
            rate; `None` for none.
        exclude_embeddings: Whether Adam steps what has "embedding" in its
            path, as the networks' embedding of time has.
        **kwargs: `keras.optimizers.Muon`'s.

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
        """Return a step of a kernel's shape, near to orthogonal."""
        dtype = keras.config.dtype_policy().compute_dtype
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        # Before the cast: squares of small numbers vanish in half precision.
        matrix = matrix / (ops.norm(matrix) + 1e-20)
        near = super().zeropower_via_newtonschulz5(
            ops.cast(matrix, dtype), steps
        )
        return ops.cast(ops.reshape(near, x.shape), x.dtype)

    def lr_adjust(self, x: Tensor) -> Tensor:
        """Return a step of the root mean square `rms_rate`, as Adam's has."""
        if self.rms_rate is None:
            return x
        rows, columns = math.prod(x.shape[:-1]), x.shape[-1]
        return x * (max(rows, columns) ** 0.5 * self.rms_rate)
