"""An interval of epochs and minutes."""

import time

from keras_wmgm.utils.checks import check_count
from keras_wmgm.utils.checks import check_number


class Interval:
    """An event every few epochs, with a least number of minutes in between.

    Args:
        every: Epochs between two events.
        minutes: The least number of minutes between two events.

    Raises:
        ValueError: If `every` is not a positive whole number, or `minutes`
            is negative.
    """

    def __init__(self, every: int = 1, minutes: float = 0.0):
        self.every = check_count("every", every)
        self.seconds = 60 * check_number("minutes", minutes, low=0)
        self.start()

    def start(self) -> None:
        """Start counting the minutes."""
        self.last = time.monotonic()

    def due(self, epoch: int) -> bool:
        """Whether the event is due after this epoch; if so, count again."""
        now = time.monotonic()
        if (epoch + 1) % self.every or now - self.last < self.seconds:
            return False
        self.last = now
        return True
