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
    """A path, with `~` for the home directory, also in `--output=~/run`."""

    name = "path"

    def convert(self, value, param, ctx):
        return expand_user(value)


PATH = _Path()


class _Steps(click.ParamType):
    """One number of steps, or several with commas between them."""

    name = "N[,N...]"

    def convert(self, value, param, ctx):
        counts = [COUNT.convert(n, param, ctx) for n in str(value).split(",")]
        return counts[0] if len(counts) == 1 else counts


STEPS = _Steps()

preset = click.option(
    "--preset",
    type=PATH,
    default=DEFAULT_PRESET,
    help="A preset's name, a preset folder, or hf://org/name.",
)
num_steps = click.option(
    "--num-steps",
    type=STEPS,
    default=8,
    help="Steps of each diffusion factor: one number, or one for each with "
    "commas, the coarse band first.",
)
sampler = click.option(
    "--sampler",
    type=click.Choice(list(SAMPLERS)),
    default="dpm_solver_2m",
    help="Sampler of the diffusion factors.",
)
seed = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    help="The same seed gives the same images.",
)
batch_size = click.option(
    "--batch-size", type=COUNT, default=16, help="Images per batch."
)
overwrite = click.option(
    "--overwrite", is_flag=True, help="Replace an existing output."
)


def old_name(flag: str, new: str, type: click.ParamType):
    """Accept an option under its old name too, hidden from the help.

    Args:
        flag: The old option, such as `"--factor"`.
        new: The parameter that it sets, unless the new option is given too.
        type: The type of its values.
    """

    def set_default(ctx, param, value):
        if value is not None:
            ctx.default_map = {**(ctx.default_map or {}), new: value}

    return click.option(
        flag,
        type=type,
        hidden=True,
        is_eager=True,  # before the default of the new option is read
        expose_value=False,
        callback=set_default,
    )


def is_folder(path: str) -> bool:
    """Whether an output is a folder: it ends with / or has no file ending."""
    return path.endswith(("/", os.sep)) or not Path(path).suffix


def check_output(path: str, overwrite: bool) -> Path:
    """Return a file that can be written, or refuse it before work starts."""
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
    """Return a folder that can be filled, or refuse it before work starts.

    Args:
        path: The folder, which may be missing.
        longest: The longest name of the files that are written into it.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(
            "The output must be a folder, and there is a file of that name; "
            f"choose another. Received: {path}"
        )
    check_writable(folder / longest)
    return folder


def check_apart(source: str | Path, folder: Path) -> None:
    """Refuse an output folder inside the folder that images are read from."""
    source, inside = Path(source).resolve(), folder.resolve()
    if inside.is_relative_to(source):
        raise ValueError(
            "The output is within the folder that images are read from, so "
            "its images would be read too; choose another. "
            f"Received: {folder}"
        )


def make_folder(folder: Path) -> None:
    """Make a folder, and refuse one that cannot be written to."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    if not os.access(folder, os.W_OK):
        raise PermissionError(
            f"The folder cannot be written to. Received: {folder}"
        )
