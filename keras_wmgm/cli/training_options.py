"""The options that all commands have which train."""

from collections.abc import Callable

import click

from keras_wmgm.cli.options import COUNT
from keras_wmgm.data.image_folder import CROPS
from keras_wmgm.data.image_folder import ON_ERROR
from keras_wmgm.recipes.recipe import PRECISIONS

MINUTES = click.FloatRange(min=0, min_open=True)

IMAGES = (
    click.option(
        "--crop",
        type=click.Choice(CROPS),
        help="To a square.  [default: center]",
    ),
    click.option(
        "--flip/--no-flip",
        default=None,
        help="Mirror each image half of the time.  [default: no-flip]",
    ),
    click.option(
        "--on-error",
        type=click.Choice(ON_ERROR),
        help="For unreadable or small images.  [default: raise]",
    ),
)
"""How images are read."""

TRAINING = (
    click.option("--batch-size", type=COUNT, help="[default: 32]"),
    click.option("--seed", type=click.IntRange(min=0), help="[default: 0]"),
    click.option(
        "--precision", type=click.Choice(PRECISIONS), help="[default: float32]"
    ),
    click.option(
        "--sample-minutes",
        type=MINUTES,
        default=2.0,
        help="Time between two grids of samples.",
    ),
    click.option(
        "--save-minutes",
        type=MINUTES,
        default=5.0,
        help="Time between two saves.",
    ),
)
"""How a run goes on."""


def options(group: tuple[Callable, ...]) -> Callable:
    """Return a decorator that gives a command some options, in their order."""

    def decorate(command):
        for option in reversed(group):
            command = option(command)
        return command

    return decorate
