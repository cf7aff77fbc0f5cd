"""One progress bar for a whole run, with the losses beside it."""

import sys
import time

import keras
from tqdm import tqdm

SECONDS_ON_A_TERMINAL, SECONDS_IN_A_LOG = 0.5, 30.0


class Progress(keras.callbacks.Callback):
    """Show how far a run is, over any number of `fit`s (`verbose=0`).

    On a terminal it is a bar, in a log a line every half a minute.

    Args:
        total: Steps in all; `None` where a time limit comes first.
        limit: A `TimeLimit`, which the bar then shows instead of steps.
        initial: Steps done before.
    """

    def __init__(self, total: int | None = None, limit=None, initial: int = 0):
        super().__init__()
        terminal = sys.stderr.isatty()
        self.seconds = SECONDS_ON_A_TERMINAL if terminal else SECONDS_IN_A_LOG
        self.limit = limit
        self.shown = -self.seconds
        timed = {
            "total": round(limit.seconds) if limit else total,
            "bar_format": "{l_bar}{bar}| {elapsed}<{remaining}{postfix}",
        }
        self.bar = tqdm(
            initial=initial,
            dynamic_ncols=True,
            mininterval=0,
            file=sys.stderr,
            **(timed if limit else {"total": total, "unit": "step"}),
        )
        self.steps = initial

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        now = time.monotonic()
        if now - self.shown >= self.seconds:
            self.shown = now
            self._show(logs or {})

    def on_epoch_end(self, epoch, logs=None):
        self.bar.set_description(f"epoch {epoch + 1}", refresh=False)

    def on_train_end(self, logs=None):
        self._show(logs or {})

    def _show(self, logs):
        losses = {n: f"{v:.3f}" for n, v in logs.items() if n != "loss"}
        self.bar.set_postfix(losses, refresh=False)
        done = min(self.limit.elapsed, self.bar.total) if self.limit else None
        self.bar.n = self.steps if done is None else round(done)
        self.bar.refresh()

    def tell(self, line: str) -> None:
        """Write a line above the bar."""
        self.bar.write(line, file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it is, and go on below it."""
        self.bar.close()
