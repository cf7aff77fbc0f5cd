"""Type aliases of the public signatures."""

from typing import Any
from typing import TypeAlias

Tensor: TypeAlias = Any
"""A tensor of the current backend, or a NumPy array."""
