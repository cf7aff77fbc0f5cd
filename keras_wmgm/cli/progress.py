"""A progress bar for a whole run, with the losses."""

import io
import sys
import time

import keras
from tqdm import tqdm

SECONDS_ON_A_TERMINAL, SECONDS_IN_A_LOG = 0.5, 30.0
TIMED = "{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


class Progress(keras.callbacks.Callback):
    """Show the progress of a run, over any number of `fit` calls (`verbose=0`).

    It is a bar on a terminal, and a line every half a minute in a log.

    Args:
        total: The number of all steps; `None` if only the time is limited.
        limit: A `TimeLimit`, shown if there is no number of steps.
        initial: Steps done before.
    """

    def __init__(self, total: int | None = None, limit=None, initial: int = 0):
        super().__init__()
        self.terminal = sys.stderr.isatty()
        self.seconds = (
            SECONDS_ON_A_TERMINAL if self.terminal else SECONDS_IN_A_LOG
        )
        self.limit = limit if total is None else None
        self.steps = initial
        self.shown, self.logs = -self.seconds, {}
        timed = {}
        if self.limit:
            timed = {"total": round(limit.seconds), "initial": 0}
        self.bar = tqdm(
            **{"total": total, "initial": initial, "unit": "step", **timed},
            bar_format=TIMED if self.limit else None,
            dynamic_ncols=self.terminal,
            file=sys.stderr if self.terminal else io.StringIO(),
        )

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.logs = logs or self.logs
        now = time.monotonic()
        if now - self.shown >= self.seconds:
            self.shown = now
            self._show(self.logs)

    def on_epoch_end(self, epoch, logs=None):
        self.bar.set_description(f"epoch {epoch + 1}", refresh=False)

    def on_train_end(self, logs=None):
        self.logs = logs or self.logs

    def _show(self, logs):
        losses = {n: f"{v:.3f}" for n, v in logs.items() if n != "loss"}
        self.bar.set_postfix(losses, refresh=False)
        self.bar.n = self.steps
        if self.limit:
            self.bar.n = min(round(self.limit.elapsed), self.bar.total)
        if self.terminal:
            self.bar.refresh()
        else:
            print(self.bar, file=sys.stderr, flush=True)

    def tell(self, line: str) -> None:
        """Write a line above the bar."""
        self.bar.write(line, file=sys.stderr)

    def close(self) -> None:
        """Show the last losses, and end the bar."""
        self._show(self.logs)
        self.bar.close()
