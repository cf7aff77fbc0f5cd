"""Seeds for what is drawn inside of a layer."""

import random


def new_seed() -> int:
    """Return a seed from Python's `random`.

    `keras.utils.set_random_seed` seeds that. A dropout without a seed would
    draw from PyTorch's own generator there, whose state no file holds.
    """
    return random.getrandbits(31)
