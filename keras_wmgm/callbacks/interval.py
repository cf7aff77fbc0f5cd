"""When something that happens every so often is due."""

import time

from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.checks import check_number


class Interval:
    """Every so many epochs, and no sooner than so many minutes.

    Args:
        every: Epochs between two times.
        minutes: The least number of minutes between two times.

    Raises:
        ValueError: If `every` is not a positive whole number, or `minutes`
            is negative.
    """

    def __init__(self, every: int = 1, minutes: float = 0.0):
        self.every = check_count("every", every)
        self.seconds = 60 * check_number("minutes", minutes, low=0)
        self.start()

    def start(self) -> None:
        """Begin to count the minutes."""
        self.last = time.monotonic()

    def due(self, epoch: int) -> bool:
        """Whether it is time at the end of this epoch; if so, start anew."""
        now = time.monotonic()
        if (epoch + 1) % self.every or now - self.last < self.seconds:
            return False
        self.last = now
        return True
