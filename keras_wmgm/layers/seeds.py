"""Seeds for random numbers inside a layer."""

import random


def new_seed() -> int:
    """Return a seed from Python's `random`.

    `keras.utils.set_random_seed` seeds it. On PyTorch a dropout without a
    seed would use PyTorch's own generator, whose state is not saved.
    """
    return random.getrandbits(31)
