"""Learn from a folder of photographs: `keras-wmgm train` in Python.

    python examples/train_on_folder.py photos/ --output run --minutes 60

While it learns you find sample grids in run/samples, and run/run.keras. After
Ctrl-C, after SIGTERM, after a power cut: the same command goes on from there,
and does what an unbroken run would have done. At the end there are

    run/preset/      which keras_wmgm.from_preset("run/preset") reads
    run/samples.png  drawn by it

Photographs of one kind do best: a few hundred faces rather than everything.
"""

import argparse
from pathlib import Path

import keras

import keras_wmgm
from keras_wmgm.callbacks import RunFolder
from keras_wmgm.callbacks import SampleGrid
from keras_wmgm.callbacks import StopOnSignal
from keras_wmgm.callbacks import TimeLimit
from keras_wmgm.callbacks import Watch
from keras_wmgm.callbacks import load_run
from keras_wmgm.utils.files import image_grid
from keras_wmgm.utils.files import save_image

DIFFUSION = {"learning_rate": 1e-3}
GAN = {"learning_rate": 2e-4, "beta_1": 0.5, "beta_2": 0.9}
AVERAGE = {"use_ema": True, "ema_momentum": 0.999}


def adam(**kwargs):
    return keras.optimizers.Adam(global_clipnorm=1.0, **kwargs)


def optimizer_of(model, role):
    """A critic never draws, so its weights need no average."""
    if role.startswith("critic"):
        return adam(**GAN)
    if role.startswith("guide") or model.factors[role].is_diffusion:
        return adam(**DIFFUSION, **AVERAGE)
    return adam(**GAN, **AVERAGE)


def make_model(image_size, num_levels):
    """GANs for details of 128x128 and more, and diffusion for all the rest."""
    model = keras_wmgm.HybridWMGM(
        image_shape=(image_size, image_size, 3), num_levels=num_levels
    )
    model.compile({role: optimizer_of(model, role) for role in model.networks})
    return model


def start_or_go_on(args):
    try:
        model = load_run(args.output)
    except FileNotFoundError:
        return make_model(args.image_size, args.num_levels)
    print(f"going on after epoch {model.epochs_trained}")
    return model


def learn(model, images, args):
    with StopOnSignal() as stop:
        model.fit(
            images,
            initial_epoch=model.epochs_trained,
            epochs=args.epochs,
            callbacks=[
                stop,
                TimeLimit(args.minutes),
                Watch(),  # before a run with NaN in it is saved
                RunFolder(args.output, minutes=args.save_minutes),
                SampleGrid(args.output / "samples", minutes=args.save_minutes),
            ],
        )


def finish(model, folder):
    """Write what draws, and let that draw."""
    model.save_to_preset(folder / "preset", dtype="float16")
    preset = keras_wmgm.from_preset(folder / "preset")
    samples = preset.generate(16, num_steps=8, seed=0, verbose=0)
    save_image(image_grid(samples), folder / "samples.png")
    print(folder / "samples.png")


def parse(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("data", help="a folder or a zip file of photographs")
    add("--output", type=Path, default="run", help="the run's folder")
    add("--image-size", type=int, default=64)
    add("--num-levels", type=int, default=3, help="the coarse band: size / 2^n")
    add("--batch-size", type=int, default=32)
    add("--epochs", type=int, default=1000)
    add("--minutes", type=float, default=60.0, help="stop after so long")
    add("--save-minutes", type=float, default=2.0, help="between two saves")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    images = keras_wmgm.data.image_folder(
        args.data,
        args.image_size,
        args.batch_size,
        flip=True,
        on_error="skip",
    )
    model = start_or_go_on(args)
    learn(model, images, args)
    finish(model, args.output)


if __name__ == "__main__":
    main()
