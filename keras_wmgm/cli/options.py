"""Options that several commands have, and the checks of their values."""

import os
from pathlib import Path

import click

from keras_wmgm.diffusion.samplers import SAMPLERS
from keras_wmgm.presets.registry import DEFAULT_PRESET
from keras_wmgm.utils.files import check_image_name
from keras_wmgm.utils.writing import check_writable
from keras_wmgm.utils.writing import expand_user
from keras_wmgm.utils.writing import remove_leftovers

COUNT = click.IntRange(min=1)


class _Path(click.ParamType):
    """A path, of which `~` is the user's home, also in `--output=~/run`."""

    name = "path"

    def convert(self, value, param, ctx):
        return expand_user(value)


PATH = _Path()

preset = click.option(
    "--preset",
    type=PATH,
    default=DEFAULT_PRESET,
    help="A preset's name, a preset folder, or hf://org/name.",
)
num_steps = click.option(
    "--num-steps",
    type=COUNT,
    default=8,
    help="Network calls of each diffusion factor.",
)
sampler = click.option(
    "--sampler",
    type=click.Choice(list(SAMPLERS)),
    default="dpm_solver_2m",
    help="How a diffusion factor is drawn.",
)
seed = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    help="The same seed draws the same images.",
)
batch_size = click.option(
    "--batch-size", type=COUNT, default=16, help="Images drawn at once."
)
overwrite = click.option(
    "--overwrite", is_flag=True, help="Replace an output that exists."
)


def is_folder(path: str) -> bool:
    """Whether an output is a folder: it is one, or has no file's ending."""
    return path.endswith(("/", os.sep)) or not Path(path).suffix


def check_output(path: str, overwrite: bool) -> Path:
    """Return a file that may be written, or refuse it before work starts."""
    output = Path(path)
    check_image_name(output)
    if output.is_dir():
        raise IsADirectoryError(
            "The output is a folder; end its name with / to fill it. "
            f"Received: {path}"
        )
    if output.exists() and not overwrite:
        raise FileExistsError(
            "The output exists; choose another, or replace it with "
            f"--overwrite. Received: {path}"
        )
    check_writable(output)
    return output


def check_folder(path: str | Path, longest: str) -> Path:
    """Return a folder that may be filled, or refuse it before work starts.

    Args:
        path: The folder, which may be missing.
        longest: The longest name of what is written into it.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(
            "The output is to be a folder, and there is a file of that name; "
            f"choose another. Received: {path}"
        )
    check_writable(folder / longest)
    return folder


def check_apart(source: str | Path, folder: Path) -> None:
    """Refuse to write images to where they would be read from next time."""
    source, inside = Path(source).resolve(), folder.resolve()
    if inside.is_relative_to(source):
        raise ValueError(
            "The output is within the folder that images are read from, and "
            f"would be read as well; choose another. Received: {folder}"
        )


def make_folder(folder: Path) -> None:
    """Make a folder that can be written to, or refuse it."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    if not os.access(folder, os.W_OK):
        raise PermissionError(
            f"The folder cannot be written to. Received: {folder}"
        )
