"""`keras-wmgm train`."""

from pathlib import Path

import click
import keras

from keras_wmgm.callbacks import HistoryFile
from keras_wmgm.callbacks import RunFolder
from keras_wmgm.callbacks import SampleGrid
from keras_wmgm.callbacks import StopOnSignal
from keras_wmgm.callbacks import TimeLimit
from keras_wmgm.callbacks import Watch
from keras_wmgm.callbacks import load_run
from keras_wmgm.callbacks.run_folder import RUN_FILE
from keras_wmgm.cli.options import COUNT
from keras_wmgm.cli.options import PATH
from keras_wmgm.cli.plan import Plan
from keras_wmgm.cli.plan import make_plan
from keras_wmgm.cli.plan import resumed_plan
from keras_wmgm.cli.progress import Progress
from keras_wmgm.data.image_folder import CROPS
from keras_wmgm.data.image_folder import ON_ERROR
from keras_wmgm.data.image_folder import load_images
from keras_wmgm.presets.folder import NotInFloat16Error
from keras_wmgm.presets.load import from_preset
from keras_wmgm.recipes import build_model
from keras_wmgm.recipes import build_optimizers
from keras_wmgm.recipes import renew_rates
from keras_wmgm.recipes import start_run
from keras_wmgm.recipes import train as train_stages
from keras_wmgm.recipes import transfer
from keras_wmgm.recipes import write_run
from keras_wmgm.recipes.recipe import PRECISIONS
from keras_wmgm.utils.lock import FolderLock

MINUTES = click.FloatRange(min=0, min_open=True)


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
    help="Epochs of each factor, instead of --minutes; in a resumed run, of "
    "its last stage.",
)
@click.option(
    "--image-size", type=COUNT, help="Height and width.  [default: 64]"
)
@click.option(
    "--crop",
    type=click.Choice(CROPS),
    help="To a square.  [default: center]",
)
@click.option(
    "--flip/--no-flip",
    default=None,
    help="Mirror each image half of the time.  [default: no-flip]",
)
@click.option("--channels", type=click.Choice(["1", "3"]), help="[default: 3]")
@click.option(
    "--on-error",
    type=click.Choice(ON_ERROR),
    help="For unreadable or small images.  [default: raise]",
)
@click.option(
    "--model",
    "model_class",
    type=click.Choice(["hybrid", "wmgm"]),
    help="Diffusion on small bands and GANs on large ones, or the paper's "
    "model.  [default: hybrid]",
)
@click.option(
    "--num-levels",
    type=COUNT,
    help="Haar levels.  [default: to a coarse band of 8x8 or less]",
)
@click.option(
    "--gan-levels",
    type=click.IntRange(min=0),
    help="Of a hybrid: the finest levels, drawn by GANs.  [default: those of "
    "128x128 and more]",
)
@click.option(
    "--factors", help="What to train, as in coarse,detail_1.  [default: all]"
)
@click.option("--batch-size", type=COUNT, help="[default: 32]")
@click.option("--seed", type=click.IntRange(min=0), help="[default: 0]")
@click.option(
    "--precision", type=click.Choice(PRECISIONS), help="[default: float32]"
)
@click.option(
    "--sample-minutes",
    type=MINUTES,
    default=2.0,
    help="Time between two grids of samples.",
)
@click.option(
    "--save-minutes",
    type=MINUTES,
    default=5.0,
    help="Time between two saves.",
)
def train(sample_minutes, save_minutes, resume, **given):
    """Train a model on a folder of images.

    The output folder holds samples/, drawn during training with the averaged
    weights; history.jsonl, the losses of every epoch; run.keras, from which
    --resume continues; and at the end preset/, for `keras-wmgm generate
    --preset`. Ctrl-C and SIGTERM save and stop.

    \b
        keras-wmgm train --data photos/ --minutes 60 --output run
        keras-wmgm train --resume run --minutes 60
    """
    plan = resumed_plan(resume, given) if resume else make_plan(given)
    with FolderLock(plan.folder):
        stop, whole = _run(plan, bool(resume), sample_minutes, save_minutes)
    if stop.received is not None:
        click.echo(f"Stopped. Go on: keras-wmgm train --resume {plan.folder}")
        raise click.exceptions.Exit(128 + stop.received)
    if not whole:
        click.echo(f"Time is up. More: keras-wmgm train --resume {plan.folder}")
    click.echo(
        f"Draw: keras-wmgm generate --preset {plan.folder / 'preset'} "
        "--output samples.png"
    )


def _run(plan, resumed, sample_minutes, save_minutes):
    """Train, and write the results; return as `_train` does."""
    keras.config.set_dtype_policy(plan.recipe.precision)
    images = _images(plan)
    model = _model(plan, len(images))
    write = write_run if resumed else start_run
    write(plan.folder, plan.recipe, **plan.facts)
    click.echo(f"{len(images)} images, {_networks(model)}", err=True)
    ended = _train(plan, model, images, sample_minutes, save_minutes)
    _finish(plan, model, len(images))
    return ended


def _images(plan: Plan):
    data = dict(plan.recipe.data)
    for name in ("source", "flip"):
        data.pop(name, None)
    images = load_images(plan.facts["data"], **data)
    if len(images) < 2:
        raise ValueError(
            "More than one image is needed to learn from. "
            f"Received: {plan.facts['data']}"
        )
    return images


def _model(plan, num_images):
    """Return the compiled model: new, from a preset or from a run."""
    if (plan.folder / RUN_FILE).exists():
        model = load_run(plan.folder)
        for role in renew_rates(plan.recipe, model, num_images):
            kept = type(model.optimizer.by_role[role]).__name__
            click.echo(
                f"{role} goes on with the {kept} and the learning rate of "
                "its last run: the recipe has another optimizer, which is for "
                "new runs.",
                err=True,
            )
        return model
    model = _started(plan)
    model.compile(build_optimizers(plan.recipe, model, num_images))
    return model


def _started(plan):
    """Return a new model, with the weights of a preset if one is given."""
    if not plan.facts.get("init_from"):
        return build_model(plan.recipe)
    preset = from_preset(plan.facts["init_from"])
    if plan.facts.get("tuned", True):
        preset.compile()  # makes the critics, which have an optimizer too
        return preset
    model = build_model(plan.recipe)
    transfer(preset, model)
    return model


def _networks(model):
    counts = {r: n.count_params() / 1e6 for r, n in model.networks.items()}
    return ", ".join(f"{r} {count:.2f} M" for r, count in counts.items())


def _train(plan, model, images, sample_minutes, save_minutes):
    """Run the stages; return the callback of signals, and if they ended."""
    limit = TimeLimit(plan.minutes) if plan.minutes else None
    done, total = plan.steps(model.epochs_trained, len(images))
    bar = Progress(total, limit, done)
    run = RunFolder(plan.folder, minutes=save_minutes, at_end=False)
    with StopOnSignal() as stop:
        callbacks = [
            bar,
            stop,
            Watch(bar.tell),
            HistoryFile(plan.folder / "history.jsonl", bar.tell),
            run,
            SampleGrid(
                plan.folder / "samples", minutes=sample_minutes, tell=bar.tell
            ),
        ]
        try:
            whole = train_stages(model, plan.recipe, images, callbacks, limit)
        finally:
            bar.close()
        run.set_model(model)
        run.save()
    return stop, whole


def _save_preset(model, folder, facts):
    try:
        model.save_to_preset(folder, "float16", facts)
    except NotInFloat16Error as error:
        click.echo(f"The preset is in float32: {error}", err=True)
        model.save_to_preset(folder, None, facts)


def _origin(plan):
    """Return how the model was made; a fine-tuned preset has no recipe."""
    origin = {}
    if start := plan.facts.get("init_from"):
        origin["init_from"] = _public_name(start)
        origin["tuned"] = plan.facts.get("tuned", True)
    if not origin.get("tuned"):
        origin["recipe"] = plan.recipe.to_dict()
    return origin


def _public_name(preset):
    """Return a preset's name, without where it is on this machine.

    A plan names a folder by its absolute path, which may be gone by now.
    """
    path = Path(preset)
    if not path.is_absolute():  # on the Hub, or in the table of presets
        return preset
    return path.parent.name if path.name == "preset" else path.name


def _finish(plan, model, num_images):
    """Write the preset, and a last grid from its weights."""
    facts = {
        **_origin(plan),
        "data": plan.recipe.data.get("source", Path(plan.facts["data"]).name),
        "num_images": num_images,
        "epochs": model.epochs_trained,
    }
    _save_preset(model, plan.folder / "preset", facts)
    grid = SampleGrid(plan.folder)
    grid.set_model(model)
    grid.draw(plan.folder / "samples.png")
    click.echo(f"Samples: {plan.folder / 'samples.png'}")
