"""How the losses of a run fell: its learning curve, as a table.

    python -m benchmarks.curve run/history.jsonl

For every network its minutes, and its loss after parts of its epochs, each
figure the median of the last twentieth until there: one wild epoch is no part
of the curve.
"""

import argparse
import json

import numpy as np

PARTS = (1 / 8, 1 / 4, 1 / 2, 1)


def read(path):
    """Return the epochs of a run in order; of two of a number the later."""
    epochs, before = {}, 0.0
    with open(path, encoding="utf-8") as file:
        for line in file:
            logs = json.loads(line)
            seconds = logs.pop("seconds")
            # A run that goes on counts its seconds from 0.
            took = seconds - before if seconds > before else seconds
            before = seconds
            epochs[logs.pop("epoch")] = {**logs, "took": took}
    return [epochs[number] for number in sorted(epochs)]


def curves(epochs):
    """Yield networks, their minutes, and their losses after `PARTS`."""
    names = dict.fromkeys(name for logs in epochs for name in logs)
    for name in names:
        if not name.endswith("_loss"):
            continue
        own = [logs for logs in epochs if name in logs]
        losses = [logs[name] for logs in own]
        minutes = sum(logs["took"] for logs in own) / 60
        yield name.removesuffix("_loss"), minutes, list(_after_parts(losses))


def _after_parts(losses):
    window = -(-len(losses) // 20)
    for part in PARTS:
        end = max(1, round(part * len(losses)))
        yield np.median(losses[max(0, end - window) : end])


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("history", help="history.jsonl of a run")
    arguments = parser.parse_args(argv)
    print("| network | minutes | loss after 1/8 | 1/4 | 1/2 | all |")
    print("|---|---|---|---|---|---|")
    for name, minutes, losses in curves(read(arguments.history)):
        cells = " | ".join(f"{loss:.3f}" for loss in losses)
        print(f"| {name} | {minutes:.0f} | {cells} |")


if __name__ == "__main__":
    main()
