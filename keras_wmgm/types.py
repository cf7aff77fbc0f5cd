"""Type aliases of the public signatures."""

from typing import Any
from typing import TypeAlias

Tensor: TypeAlias = Any
"""A tensor of whichever backend Keras runs on, or a NumPy array."""
