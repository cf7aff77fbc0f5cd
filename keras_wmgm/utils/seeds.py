"""Seeds of any size for random generators that take 31 bits."""

import numpy as np

LARGEST = 2**31
"""PyTorch's generators take seeds below this number."""


def as_keras_seed(seed: int) -> int:
    """Return a seed for Keras: the same, or 31 bits of a large one."""
    if seed < LARGEST:
        return seed
    return int(np.random.SeedSequence(seed).generate_state(1)[0]) % LARGEST
