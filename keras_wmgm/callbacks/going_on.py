"""Training that goes on where something beside it fails."""

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def going_on(tell: Callable[[str], None], path: Path) -> Iterator[None]:
    """Tell of a file that cannot be written, instead of ending training.

    Args:
        tell: What is called with the line to tell.
        path: The file.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        tell(f"{path} cannot be written, and training goes on: {reason}")
