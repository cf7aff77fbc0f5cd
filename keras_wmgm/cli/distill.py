"""`keras-wmgm distill`."""

import click

from keras_wmgm.cli.new_plan import distill_plan
from keras_wmgm.cli.options import COUNT
from keras_wmgm.cli.options import PATH
from keras_wmgm.cli.running import run_and_tell
from keras_wmgm.cli.training_options import IMAGES
from keras_wmgm.cli.training_options import MINUTES
from keras_wmgm.cli.training_options import TRAINING
from keras_wmgm.cli.training_options import options


@click.command()
@click.option(
    "--preset",
    type=PATH,
    required=True,
    help="The teacher: a preset's name, a preset folder, or hf://org/name.",
)
@click.option(
    "--data",
    type=PATH,
    required=True,
    help="A folder, a zip file, or photos.zip:folder.",
)
@click.option(
    "--output",
    type=PATH,
    required=True,
    help="The run's folder, made by this command.",
)
@click.option("--minutes", type=MINUTES, help="Time of the run.  [default: 20]")
@click.option(
    "--epochs", type=COUNT, help="Epochs of each factor, instead of --minutes."
)
@options(IMAGES)
@options(TRAINING)
def distill(sample_minutes, save_minutes, **given):
    """Distill a WSGM into a WMGM, which draws each detail in one call.

    The images are those the teacher was trained on, or others like them. The
    output folder is that of a run; `keras-wmgm train --resume` continues it.

    \b
        keras-wmgm distill --preset run/teacher --data photos/ --output fast
        keras-wmgm train --resume fast --minutes 20
    """
    run_and_tell(distill_plan(given), False, sample_minutes, save_minutes)
