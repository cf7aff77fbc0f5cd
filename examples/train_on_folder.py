"""Learn from a folder of photographs: `keras-wmgm train` in Python.

    python examples/train_on_folder.py photos/ --output run --epochs 50

A recipe is made, as a TOML file in zoo/ would say it, and trained stage by
stage: the coarse band first, then details, which begin with the weights of
those half as fine where networks are alike. Every band is learned by diffusion,
and drawn in some steps: a WSGM. Then this is distilled into a WMGM, which draws
each band of details in one call. While it learns you find sample grids in
run/samples, and run/run.keras. After Ctrl-C, after SIGTERM, after a power cut:
the same command goes on from there, and does what an unbroken run would have
done, but for what was left of an epoch that was stopped. A run keeps to the
sizes and epochs it was begun with. At the end there are

    run/preset/       which keras_wmgm.from_preset("run/preset") reads
    run/samples.png   drawn by it, in large pixels while details are missing
    run/fast/preset/  the WMGM, and run/fast/samples.png, drawn by that

Photographs of one kind do best: a few hundred faces rather than everything.
"""

import argparse
import math
from pathlib import Path

import keras_wmgm
from keras_wmgm import recipes
from keras_wmgm.callbacks import RunFolder
from keras_wmgm.callbacks import SampleGrid
from keras_wmgm.callbacks import StopOnSignal
from keras_wmgm.callbacks import TimeLimit
from keras_wmgm.callbacks import Watch
from keras_wmgm.callbacks import load_run

DISTILL = 0.4  # epochs of each stage, for one of the teacher's


def recipe_of(args):
    """Return the recipe of the run, or begin one."""
    try:
        return recipes.read_run(args.output)[0]
    except FileNotFoundError:
        recipe = make_recipe(args)
        recipes.start_run(args.output, recipe)
        return recipe


def make_recipe(args):
    """Return the stages of a WSGM, and then those of distilling it."""
    model = {"class": "WSGM", "num_levels": args.num_levels}
    data = {"image_size": args.image_size, "flip": True}
    recipe = recipes.Recipe.from_dict({"data": data, "model": model})
    model, size = recipes.build_model(recipe), args.batch_size
    recipe.stages = recipes.stages_in_turn(
        model, epochs=args.epochs, batch_size=size
    )
    recipe.distill = recipes.distill_stages(
        model, epochs=math.ceil(DISTILL * args.epochs), batch_size=size
    )
    return recipe


def run(recipe, folder, images, args, limit):
    """Train by the stages of a recipe; return whether they came to an end."""
    model = start_or_go_on(folder, recipe, len(images))
    whole = learn(model, recipe, images, folder, args.save_minutes, limit)
    finish(model, folder)
    return whole


def start_or_go_on(folder, recipe, num_images):
    try:
        model = load_run(folder)
    except FileNotFoundError:
        model = recipes.build_model(recipe)
        model.compile(recipes.build_optimizers(recipe, model, num_images))
        return model
    print(f"going on after epoch {model.epochs_trained}")
    return model


def learn(model, recipe, images, folder, minutes, limit):
    with StopOnSignal() as stop:
        callbacks = [
            stop,
            Watch(),  # before a run with NaN in it is saved
            RunFolder(folder, minutes=minutes),
            SampleGrid(folder / "samples", minutes=minutes),
        ]
        return recipes.train(model, recipe, images, callbacks, limit)


def finish(model, folder):
    """Write what draws, and a last grid of it."""
    model.save_to_preset(folder / "preset", dtype="float16")
    grid = SampleGrid(folder)
    grid.set_model(model)
    grid.draw(folder / "samples.png")
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
    add("--epochs", type=int, default=50, help="of each factor")
    add("--minutes", type=float, default=60.0, help="stop after so long")
    add("--save-minutes", type=float, default=2.0, help="between two saves")
    return parser.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    images = keras_wmgm.data.load_images(
        args.data, args.image_size, on_error="skip"
    )
    recipe = recipe_of(args)
    rest = images, args, TimeLimit(args.minutes)
    whole = run(recipe, args.output, *rest)
    if whole and recipe.distill:
        teacher = str(args.output / "preset")
        distilled = recipes.distillation(recipe, teacher)
        whole = run(distilled, args.output / "fast", *rest)
    if not whole:
        print("stopped before its end; the same command goes on")


if __name__ == "__main__":
    main()
