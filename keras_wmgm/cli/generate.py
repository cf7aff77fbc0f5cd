"""`keras-wmgm generate`."""

import hashlib
import json
from pathlib import Path

import click
import keras

from keras_wmgm.cli import options
from keras_wmgm.cli.options import COUNT
from keras_wmgm.presets.load import from_preset
from keras_wmgm.utils.files import check_image_name
from keras_wmgm.utils.files import image_grid
from keras_wmgm.utils.files import save_image
from keras_wmgm.utils.files import write_json

FACTS = "generate.json"


@click.command()
@options.preset
@click.option("--num-images", type=COUNT, default=16, help="How many to draw.")
@options.num_steps
@options.sampler
@options.seed
@options.batch_size
@click.option("--columns", type=COUNT, help="Of the grid.  [default: a square]")
@click.option(
    "--output",
    default="samples.png",
    help="A picture, for a grid; a folder/, for one file each.",
)
@options.overwrite
def generate(
    preset,
    num_images,
    num_steps,
    sampler,
    seed,
    batch_size,
    columns,
    output,
    overwrite,
):
    """Draw images.

    Into one picture they go as a grid. Into a folder they go as 000000.png,
    000001.png, ...: what is there already is not drawn again, so a run that
    was interrupted goes on, and a larger --num-images adds to a smaller.
    """
    draw = {
        "num_steps": num_steps,
        "sampler": sampler,
        "seed": seed,
        "batch_size": min(batch_size, num_images),
        "verbose": 0,
    }
    if options.is_folder(output):
        if overwrite or columns:
            raise ValueError(
                "--overwrite and --columns are for one picture, and a folder "
                f"is filled up. Received: --output {output}"
            )
        _into_folder(preset, Path(output), num_images, draw)
    else:
        check_image_name(output)
        path = options.check_output(output, overwrite)
        _into_grid(preset, path, num_images, columns, draw)


def _into_grid(preset, path, num_images, columns, draw):
    model = from_preset(preset)
    images = model.generate(num_images, **draw)
    save_image(image_grid(images, columns), path)
    _tell(num_images, preset, draw, path)


def _into_folder(preset, folder, num_images, draw):
    """Draw what is missing, a batch at a time."""
    model = from_preset(preset)
    facts = {n: draw[n] for n in ("num_steps", "sampler", "seed")}
    facts = {"sha256": _digest(model), **facts}
    _check_facts(folder, facts)
    size = draw["batch_size"]
    paths = [folder / f"{i:06d}.png" for i in range(num_images)]
    starts = [
        start
        for start in range(0, num_images, size)
        if not all(path.exists() for path in paths[start : start + size])
    ]
    with click.progressbar(starts, label="drawing", show_pos=True) as bar:
        for start in bar:
            # Full batches always: another size would be compiled anew.
            images = model.generate(size, start=start, **draw)
            for path, image in zip(paths[start:], images, strict=False):
                if not path.exists():
                    save_image(image, path)
    _tell(num_images, preset, draw, folder)


def _digest(model):
    """Return a checksum of the weights: one name may hold others tomorrow."""
    total = hashlib.sha256()
    for weight in model.weights:
        total.update(keras.ops.convert_to_numpy(weight).tobytes())
    return total.hexdigest()


def _tell(num_images, preset, draw, output):
    seed = draw["seed"]
    click.echo(f"{num_images} images of {preset}, seed {seed}: {output}")


def _check_facts(folder, facts):
    """Refuse to mix images of two kinds in one folder."""
    options.make_folder(folder)
    path = folder / FACTS
    if path.exists():
        try:
            before = json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(
                f"{FACTS} cannot be read ({error}). Received: {path}"
            ) from None
        if before != facts:
            raise ValueError(
                "The folder holds images drawn otherwise; choose another. "
                f"Received: {facts}, where it has {before}"
            )
    elif any(folder.glob("*.png")):
        raise FileExistsError(
            "The folder holds pictures that were not drawn by this command; "
            f"choose another. Received: {folder}"
        )
    write_json(path, facts)
