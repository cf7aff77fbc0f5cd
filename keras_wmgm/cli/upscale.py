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

SCALE = click.Choice(["2", "4", "8"])


@click.command()
@click.argument("source", type=PATH, metavar="IN")
@click.argument("target", type=PATH, metavar="OUT")
@click.option(
    "--scale", type=SCALE, default="2", help="How many times as large."
)
@options.old_name("--factor", "scale", type=SCALE)
@options.preset
@options.num_steps
@options.sampler
@options.seed
@options.overwrite
def upscale(source, target, scale, preset, num_steps, sampler, seed, overwrite):
    """Enlarge an image, or all images of a folder.

    The content is kept: OUT reduced to the size of IN gives IN again. The
    detail is drawn, and another --seed draws other detail. It looks best
    where IN resembles the preset's training images. Files that exist in the
    output folder are left as they are.
    """
    pairs = _pairs(Path(source), target, overwrite)
    channels = image_shape_of(preset)[-1]
    for ending in {output.suffix for _, output in pairs}:
        check_image(f"enlarged{ending}", (1, 1, channels))
    options.make_folder(_folder(target))
    draw = {
        "scale": int(scale),
        "seed": seed,
        "num_steps": num_steps,
        "sampler": sampler,
        "verbose": 0,
    }
    with _lock(target):
        pairs = [(p, o) for p, o in pairs if overwrite or not o.exists()]
        _enlarge(from_preset(preset), pairs, channels, draw)
    click.echo(f"{len(pairs)} images, {scale} times as large: {target}")


def _enlarge(model, pairs, channels, draw):
    with click.progressbar(pairs, label="enlarging", show_pos=True) as bar:
        for path, output in bar:
            image = load_image(path, channels)
            large = model.upscale(image[None], **draw)[0]
            output.parent.mkdir(parents=True, exist_ok=True)
            save_image(large, output)


def _lock(target):
    """Return a context that keeps other commands out of an output folder."""
    whole = options.is_folder(target)
    return FolderLock(Path(target)) if whole else nullcontext()


def _folder(target):
    """Return the folder of the output."""
    return Path(target) if options.is_folder(target) else Path(target).parent


def _pairs(source, target, overwrite):
    """Return pairs of input and output files, or refuse them."""
    if not source.is_dir():
        if not source.is_file():
            raise FileNotFoundError(
                "There is no such image or folder of images. "
                f"Received: {source}"
            )
        if options.is_folder(target):
            target = str(Path(target) / f"{source.stem}.png")
        return [(source, options.check_output(target, overwrite))]
    if not options.is_folder(target):
        raise ValueError(
            "The images of a folder need a folder as output. "
            f"Received: OUT={target}"
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
            "Two images differ in their endings only, so their outputs would "
            f"have the same name; rename one of them. Received: {source}"
        )
    options.check_folder(folder, max((p.name for p in outputs), key=len))
    return list(zip(files, outputs, strict=True))
