"""`keras-wmgm`: the commands, and how their errors are reported."""

import click

from keras_wmgm.cli.distill import distill
from keras_wmgm.cli.generate import generate
from keras_wmgm.cli.hub import presets
from keras_wmgm.cli.hub import upload
from keras_wmgm.cli.train import train
from keras_wmgm.cli.upscale import upscale
from keras_wmgm.version import __version__


class Commands(click.Group):
    """A group that reports errors in one line, unless with `--traceback`."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.params["traceback"]:
                raise
            raise click.ClickException(_one_line(error)) from error


def _one_line(error):
    text = " ".join(str(error).split())
    if isinstance(error, (ValueError, TypeError, OSError, ArithmeticError)):
        return text
    name = type(error).__name__
    return f"{name}: {text[:500]} (`keras-wmgm --traceback ...` shows where)"


@click.group(
    cls=Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "show_default": True,
        "max_content_width": 88,
    },
)
@click.version_option(__version__)
@click.option(
    "--traceback", is_flag=True, help="Show the traceback of an error."
)
def main(traceback):
    """Small, fast image generators.

    \b
    Draw 16 images into one picture:
        keras-wmgm generate --output samples.png
    Train on a folder of photographs for half an hour, and draw images:
        keras-wmgm train --data photos/ --minutes 30 --output run
        keras-wmgm generate --preset run/preset --output mine.png
    Enlarge a photograph, or a folder of them:
        keras-wmgm upscale small.png large.png --scale 2

    KERAS_BACKEND=tensorflow, jax or torch chooses the backend. The default is
    that of Keras's configuration, or one that is installed.
    """


for command in (generate, train, distill, upscale, presets, upload):
    main.add_command(command)
