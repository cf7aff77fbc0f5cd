"""`keras-wmgm train`."""

import click

from keras_wmgm.cli.new_plan import MODELS
from keras_wmgm.cli.new_plan import make_plan
from keras_wmgm.cli.options import COUNT
from keras_wmgm.cli.options import PATH
from keras_wmgm.cli.plan import resumed_plan
from keras_wmgm.cli.running import run_and_tell
from keras_wmgm.cli.training_options import IMAGES
from keras_wmgm.cli.training_options import MINUTES
from keras_wmgm.cli.training_options import TRAINING
from keras_wmgm.cli.training_options import options


@click.command()
@click.option(
    "--data", type=PATH, help="A folder, a zip file, or photos.zip:folder."
)
@click.option(
    "--output", type=PATH, help="The run's folder, made by this command."
)
@click.option(
    "--resume",
    type=PATH,
    metavar="RUN",
    help="Continue a run; each factor gets its --minutes again.",
)
@click.option("--recipe", type=PATH, metavar="FILE", help="A recipe, in TOML.")
@click.option(
    "--init-from",
    type=PATH,
    metavar="PRESET",
    help="Fine-tune a preset; with --recipe, start from the weights of its "
    "factors that fit.",
)
@click.option(
    "--minutes",
    type=MINUTES,
    help="Time of the run, until which learning rates decay; they start again "
    "in a resumed run.  [default: 60, if nothing else ends it]",
)
@click.option(
    "--epochs",
    type=COUNT,
    help="Epochs of each factor, instead of --minutes; the distillation has "
    "0.4 times as many. In a resumed run: of its last stage.",
)
@click.option(
    "--image-size", type=COUNT, help="Height and width.  [default: 64]"
)
@options(IMAGES)
@click.option("--channels", type=click.Choice(["1", "3"]), help="[default: 3]")
@click.option(
    "--model",
    "model_class",
    type=click.Choice(MODELS),
    help="wsgm: diffusion for each band. wmgm: this is distilled to one call "
    "for each detail band, unless there are --factors.  [default: wmgm; wsgm "
    "for less than 15 minutes]",
)
@click.option(
    "--num-levels",
    type=COUNT,
    help="Haar levels.  [default: to a coarse band of 8x8 or less]",
)
@click.option(
    "--factors", help="What to train, as in coarse,detail_1.  [default: all]"
)
@options(TRAINING)
def train(sample_minutes, save_minutes, resume, **given):
    """Train a model on a folder of images.

    The bands of the images are learned by diffusion. Then, unless with --model
    wsgm, the details are distilled: each is drawn in one call.

    The output folder holds samples/, drawn during training with the averaged
    weights; history.jsonl, the losses of every epoch; run.keras, from which
    --resume continues; and at the end preset/, for `keras-wmgm generate
    --preset`. The distillation has a folder of its own in it, distill/, and
    what it starts from is kept in teacher/. Ctrl-C and SIGTERM save and stop.

    \b
        keras-wmgm train --data photos/ --minutes 60 --output run
        keras-wmgm train --resume run --minutes 60
    """
    plan = resumed_plan(resume, given) if resume else make_plan(given)
    run_and_tell(plan, bool(resume), sample_minutes, save_minutes)
