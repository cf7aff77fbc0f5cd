"""Training that continues after a file could not be written."""

from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def going_on(tell: Callable[[str], None], path: Path) -> Iterator[None]:
    """Report a file that cannot be written, instead of ending training.

    Args:
        tell: Called with the line to report.
        path: The file.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        tell(f"{path} cannot be written, and training goes on: {reason}")
