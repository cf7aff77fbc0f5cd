"""The check for finite weights, before they are saved or used."""

from collections.abc import Iterable

import keras
import numpy as np


def check_finite(variables: Iterable[keras.Variable], what: str) -> None:
    """Refuse variables that hold NaN or infinity.

    Args:
        variables: The variables.
        what: The method that needs them, for the message: `"generate"`.

    Raises:
        ValueError: If one of them is not finite.
    """
    # NumPy, since JAX would compile the check for every shape.
    with np.errstate(over="ignore", invalid="ignore"):
        bad = [v.path for v in variables if not _is_finite(v)]
    if bad:
        raise ValueError(
            f"`{what}` needs weights that are finite, and training has "
            "failed. What was saved before is kept: go back to it, and lower "
            "the learning rate or clip the gradients (`global_clipnorm`). "
            f"Received: {len(bad)} arrays with NaN or infinity, such as "
            f"{bad[0]!r}"
        )


def _is_finite(variable):
    values = keras.ops.convert_to_numpy(variable)
    # The sum is faster, and rarely overflows.
    return np.isfinite(values.sum()) or np.isfinite(values).all()
