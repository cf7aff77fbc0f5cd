"""`keras-wmgm generate`."""

import hashlib
import json

import click
import keras
import numpy as np

from keras_wmgm.cli import options
from keras_wmgm.cli.options import COUNT
from keras_wmgm.cli.options import PATH
from keras_wmgm.presets.folder import preset_config
from keras_wmgm.presets.load import from_preset
from keras_wmgm.presets.load import image_shape_of
from keras_wmgm.utils.files import check_image
from keras_wmgm.utils.files import image_grid
from keras_wmgm.utils.files import save_image
from keras_wmgm.utils.lock import FolderLock
from keras_wmgm.utils.writing import write_json

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
    type=PATH,
    default="samples.png",
    help="A file, for a grid; a folder/, for one file per image.",
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

    A file gets all images as a grid. A folder gets 000000.png, 000001.png,
    ...: existing files are not drawn again, so an interrupted run can be
    continued, and a larger --num-images adds images.
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
                "--overwrite and --columns are for a grid, and --output is a "
                f"folder. Received: --output {output}"
            )
        folder = options.check_folder(output, FACTS)
        _into_folder(preset, folder, num_images, draw)
    else:
        path = options.check_output(output, overwrite)
        _into_grid(preset, path, num_images, columns, draw)


def _into_grid(preset, path, num_images, columns, draw):
    image = np.zeros(image_shape_of(preset), "uint8")
    images = np.broadcast_to(image, (num_images, *image.shape))
    check_image(path, image_grid(images, columns).shape)
    options.make_folder(path.parent)
    model = from_preset(preset)
    images = model.generate(num_images, **draw)
    save_image(image_grid(images, columns), path)
    _tell(num_images, preset, draw, path)


def _into_folder(preset, folder, num_images, draw):
    """Draw the missing images, a batch at a time."""
    check_image("000000.png", image_shape_of(preset))
    options.make_folder(folder)
    with FolderLock(folder):
        _fill(preset, folder, num_images, draw)
    _tell(num_images, preset, draw, folder)


def _fill(preset, folder, num_images, draw):
    before = _read_facts(folder)
    model = from_preset(preset)
    facts = {n: draw[n] for n in ("num_steps", "sampler", "seed")}
    facts = {**_digests(model), **facts}
    _check_facts(folder, facts, before)
    write_json(folder / FACTS, facts)
    size = draw["batch_size"]
    paths = [folder / f"{i:06d}.png" for i in range(num_images)]
    starts = [
        start
        for start in range(0, num_images, size)
        if not all(path.exists() for path in paths[start : start + size])
    ]
    with click.progressbar(starts, label="drawing", show_pos=True) as bar:
        for start in bar:
            # Always full batches: another size would be compiled again.
            images = model.generate(size, start=start, **draw)
            for path, image in zip(paths[start:], images, strict=False):
                if not path.exists():
                    save_image(image, path)


def _digests(model):
    """Return checksums of the weights and of the configuration.

    The preset of a name may change.
    """
    total = hashlib.sha256()
    for weight in model.weights:
        total.update(keras.ops.convert_to_numpy(weight).tobytes())
    config = json.dumps(preset_config(model), sort_keys=True)
    config = hashlib.sha256(config.encode())
    return {"sha256": total.hexdigest(), "config": config.hexdigest()}


def _tell(num_images, preset, draw, output):
    seed = draw["seed"]
    click.echo(f"{num_images} images of {preset}, seed {seed}: {output}")


def _read_facts(folder):
    """Return how the images of a folder were drawn; `None` if it is new."""
    path = folder / FACTS
    if path.exists():
        try:
            return json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(
                f"{FACTS} cannot be read ({error}). Received: {path}"
            ) from None
    if any(folder.glob("*.png")):
        raise FileExistsError(
            "The folder holds pictures that were not drawn by this command; "
            f"choose another. Received: {folder}"
        )
    return None


def _check_facts(folder, facts, before):
    """Refuse to mix images of two kinds in one folder."""
    if before in (None, facts):
        return
    if isinstance(before, dict) and "config" not in before:
        raise ValueError(
            "The folder was filled by an earlier version of keras_wmgm, which "
            "did not write down the guidance and temperature of its images; "
            f"choose another folder. Received: {folder}"
        )
    raise ValueError(
        "The folder holds images drawn with other options; choose another. "
        f"Received: {facts}; the folder has {before}"
    )
