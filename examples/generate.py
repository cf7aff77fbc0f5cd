"""Draw pictures, and play with the noise they are made of.

    python examples/generate.py --output samples

writes four grids into the folder `samples`:

    grid.png     pictures 0, 1, 2, ... of a seed
    steps.png    the same pictures with 1, 2, 4 and 8 network calls a band
    walk.png     the way from one picture to another, through the noise
    details.png  a row for each coarse band, its details drawn again and again

Picture i is a function of the seed and of i alone: neither the batch size nor
the backend changes it, and whoever knows its noise can draw it again.
"""

import argparse
from pathlib import Path

import numpy as np

import keras_wmgm
from keras_wmgm import DEFAULT_PRESET
from keras_wmgm.data import image_grid
from keras_wmgm.data import save_image

STEPS = (1, 2, 4, 8)


def steps(model, columns, seed, **draw):
    """The same pictures, a row for each number of steps."""
    rows = [
        model.generate(columns, **{**draw, "num_steps": n}, seed=seed)
        for n in STEPS
    ]
    return np.concatenate(rows)


def walk(model, columns, seed, **draw):
    """From picture 0 to picture 1 in one row."""
    ends = model.draw_noise(2, seed, num_steps=draw["num_steps"])
    # On a circle, not on a straight line: cos a + sin b is standard normal
    # where a and b are, and the networks know no other noise.
    angles = np.linspace(0, np.pi / 2, columns)
    noise = {
        name: np.stack([np.cos(t) * a + np.sin(t) * b for t in angles])
        for name, (a, b) in ends.items()
    }
    return model.generate(noise=noise, **draw)


def details(model, rows, columns, seed, **draw):
    """What the detail factors make of one and the same coarse band."""
    noise = model.draw_noise(rows * columns, seed, num_steps=draw["num_steps"])
    noise["coarse"] = np.repeat(noise["coarse"][::columns], columns, axis=0)
    return model.generate(noise=noise, **draw)


def parse(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--preset", default=DEFAULT_PRESET, help="a name, or a preset folder")
    add("--output", type=Path, default="samples", help="a folder")
    add("--rows", type=int, default=4)
    add("--columns", type=int, default=8)
    add("--num-steps", type=int, default=8)
    add("--seed", type=int, default=0)
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    model = keras_wmgm.from_preset(args.preset)
    calls = model.network_calls(args.num_steps)
    print(f"{args.preset}: {calls} network calls per picture")
    args.output.mkdir(parents=True, exist_ok=True)

    def save(name, images):
        path = args.output / f"{name}.png"
        save_image(image_grid(images, args.columns), path)
        print(path)

    shape = {"columns": args.columns, "seed": args.seed}
    # One batch size for all, so that nothing is compiled twice.
    draw = {
        "num_steps": args.num_steps,
        "batch_size": args.columns,
        "verbose": 0,
    }
    count = args.rows * args.columns
    save("grid", model.generate(count, seed=args.seed, **draw))
    save("steps", steps(model, **shape, **draw))
    save("walk", walk(model, **shape, **draw))
    save("details", details(model, args.rows, **shape, **draw))


if __name__ == "__main__":
    main()
