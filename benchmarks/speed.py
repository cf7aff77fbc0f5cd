"""Seconds from the shell to pictures, on every backend that is installed.

    python -m benchmarks.speed --preset clothing_64

Each backend runs in a process of its own, twice; the second is shown, since
the first may still read the backend from the disk. `import` is Keras and its
backend, `first 16` includes compilation, `next 100` does not, and `GiB` is the
most that was resident.
"""

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time

BACKENDS = ("tensorflow", "jax", "torch")
COLUMNS = ("import", "from_preset", "first 16", "next 100", "GiB")


def measure(preset, num_steps):
    """Return the columns for the backend of this process."""
    laps, began = [], time.perf_counter()

    def lap():
        laps.append(time.perf_counter() - began - sum(laps))

    import keras

    importlib.import_module(keras.backend.backend())
    lap()
    import keras_wmgm

    model = keras_wmgm.from_preset(preset)
    lap()
    draw = {"num_steps": num_steps, "seed": 0, "verbose": 0}
    model.generate(16, **draw)
    lap()
    model.generate(50, batch_size=50, **draw)  # compiles for this size
    lap()
    model.generate(100, batch_size=50, **draw)
    lap()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return [*laps[:3], laps[4], peak / unit]


def measured_apart(backend, arguments):
    """Return the columns of a backend, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.speed", "--here"]
    command += ["--preset", arguments.preset]
    command += ["--num-steps", str(arguments.num_steps)]
    for _ in range(2):
        child = subprocess.run(
            command,
            env={**os.environ, "KERAS_BACKEND": backend},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return json.loads(child.stdout.splitlines()[-1])


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--preset", default="clothing_64")
    parser.add_argument("--num-steps", type=int, default=8)
    parser.add_argument("--backends", nargs="+", default=BACKENDS)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.here:
        print(json.dumps(measure(arguments.preset, arguments.num_steps)))
        return
    print(
        f"{arguments.preset}, {arguments.num_steps} steps, "
        f"{os.cpu_count()} CPU cores; seconds, and GiB\n"
    )
    print(f"| backend | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for backend in arguments.backends:
        if importlib.util.find_spec(backend):
            columns = measured_apart(backend, arguments)
            cells = " | ".join(f"{value:.1f}" for value in columns)
            print(f"| {backend} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
