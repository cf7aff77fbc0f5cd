"""Teach a preset your own photographs.

    python examples/fine_tune.py photos/ --output tuned

A preset already knows what edges and surfaces look like, so a few pictures
and a few minutes go a long way. Three things matter:

- The statistics of the bands stay the preset's: its networks know no others.
  `fit` finds them anew only where there are none.
- A preset holds no critics. New ones know nothing, and would lead a generator
  that knows its trade astray; so they learn first, while it is held.
- The learning rates are a tenth of those one starts from nothing with.

tuned/before_after.png shows, row by row: what the preset drew, what the same
noise becomes now, and some of your photographs.
"""

import argparse
from pathlib import Path

import keras
import numpy as np

import keras_wmgm
from keras_wmgm import DEFAULT_PRESET
from keras_wmgm.data import image_grid
from keras_wmgm.data import save_image

COLUMNS = 8


def compile_slowly(model, rate):
    """Give each network its own slow Adam; those that draw are averaged."""
    draws = keras.optimizers.Adam(rate, global_clipnorm=1.0, use_ema=True)
    # A new critic has everything to learn.
    critic = keras.optimizers.Adam(2e-4, beta_1=0.5, global_clipnorm=1.0)
    model.compile()  # makes the critics, which no preset holds
    roles = {role.name: role.training_only for role in model.parts.present}
    model.compile({r: critic if c else draws for r, c in roles.items()})


def tune(model, images, warmup_epochs, epochs):
    if warmup_epochs and any("critic" in role for role in model.networks):
        model.fit(images, factors="critic", epochs=warmup_epochs)
    done = model.epochs_trained
    model.fit(images, initial_epoch=done, epochs=done + epochs)


def parse(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("data", help="a folder or a zip file of photographs")
    add("--preset", default=DEFAULT_PRESET, help="a name, or a preset folder")
    add("--output", type=Path, default="tuned", help="a folder")
    add("--warmup-epochs", type=int, default=5, help="of new critics")
    add("--epochs", type=int, default=20)
    add("--batch-size", type=int, default=16)
    add("--learning-rate", type=float, default=5e-5)
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    model = keras_wmgm.from_preset(args.preset)
    height, width, channels = model.image_shape
    images = keras_wmgm.data.image_folder(
        args.data,
        (height, width),
        args.batch_size,
        channels=channels,
        flip=True,
        on_error="skip",
    )
    before = model.generate(COLUMNS, seed=0, verbose=0)
    compile_slowly(model, args.learning_rate)
    tune(model, images, args.warmup_epochs, args.epochs)
    after = model.generate(COLUMNS, seed=0, verbose=0)

    model.save_to_preset(args.output / "preset", dtype="float16")
    rows = np.concatenate([before, after, images.images[:COLUMNS]])
    path = args.output / "before_after.png"
    save_image(image_grid(rows, COLUMNS), path)
    print(path)


if __name__ == "__main__":
    main()
