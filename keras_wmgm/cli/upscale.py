"""`keras-wmgm upscale`."""

from contextlib import nullcontext
from pathlib import Path

import click

from keras_wmgm.cli import options
from keras_wmgm.cli.options import PATH
from keras_wmgm.data.image_folder import image_files
from keras_wmgm.data.image_folder import load_image
from keras_wmgm.presets.load import from_preset
from keras_wmgm.presets.load import image_shape_of
from keras_wmgm.utils.files import check_image
from keras_wmgm.utils.files import save_image
from keras_wmgm.utils.lock import FolderLock


@click.command()
@click.argument("source", type=PATH, metavar="IN")
@click.argument("target", type=PATH, metavar="OUT")
@click.option(
    "--factor",
    type=click.Choice(["2", "4", "8"]),
    default="2",
    help="How many times as large.",
)
@options.preset
@options.num_steps
@options.sampler
@options.seed
@options.overwrite
def upscale(
    source, target, factor, preset, num_steps, sampler, seed, overwrite
):
    """Enlarge an image, or all images of a folder.

    IN's content is kept: reduced again, OUT is IN. The detail between is
    drawn, as plausible as the preset's training images resemble IN; another
    --seed draws another. Into a folder, what is there already is left as it
    is.
    """
    pairs = _pairs(Path(source), target, overwrite)
    channels = image_shape_of(preset)[-1]
    for ending in {output.suffix for _, output in pairs}:
        check_image(f"enlarged{ending}", (1, 1, channels))
    options.make_folder(_folder(target))
    draw = {
        "factor": int(factor),
        "seed": seed,
        "num_steps": num_steps,
        "sampler": sampler,
        "verbose": 0,
    }
    with _lock(target):
        pairs = [(p, o) for p, o in pairs if overwrite or not o.exists()]
        _enlarge(from_preset(preset), pairs, channels, draw)
    click.echo(f"{len(pairs)} images, {factor} times as large: {target}")


def _enlarge(model, pairs, channels, draw):
    with click.progressbar(pairs, label="enlarging", show_pos=True) as bar:
        for path, output in bar:
            image = load_image(path, channels)
            large = model.upscale(image[None], **draw)[0]
            output.parent.mkdir(parents=True, exist_ok=True)
            save_image(large, output)


def _lock(target):
    """Return what keeps other commands out of a folder that is filled."""
    whole = options.is_folder(target)
    return FolderLock(Path(target)) if whole else nullcontext()


def _folder(target):
    """Return the folder that is written to."""
    return Path(target) if options.is_folder(target) else Path(target).parent


def _pairs(source, target, overwrite):
    """Return what is read and what is written, or refuse it."""
    if not source.is_dir():
        if not source.is_file():
            raise FileNotFoundError(
                "An image or a folder of images is enlarged, and there is "
                f"none. Received: {source}"
            )
        if options.is_folder(target):
            target = str(Path(target) / f"{source.stem}.png")
        return [(source, options.check_output(target, overwrite))]
    if not options.is_folder(target):
        raise ValueError(
            f"A folder is enlarged into a folder. Received: OUT={target}"
        )
    files = image_files(source)
    if not files:
        raise ValueError(f"There is no image in the folder. Received: {source}")
    folder = Path(target)
    options.check_apart(source, folder)
    outputs = [
        folder / p.relative_to(source).with_suffix(".png") for p in files
    ]
    if len(set(outputs)) != len(outputs):
        raise ValueError(
            "Two images differ in their endings only and would become one; "
            f"rename one of each. Received: {source}"
        )
    options.check_folder(folder, max((p.name for p in outputs), key=len))
    return list(zip(files, outputs, strict=True))
