"""Running a plan: from images to a trained model and its preset."""

import shutil
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
from keras_wmgm.cli.plan import DISTILL
from keras_wmgm.cli.plan import TEACHER
from keras_wmgm.cli.plan import Plan
from keras_wmgm.cli.plan import distill_part
from keras_wmgm.cli.progress import Progress
from keras_wmgm.data.image_folder import load_images
from keras_wmgm.presets.folder import METADATA
from keras_wmgm.presets.folder import NotInFloat16Error
from keras_wmgm.presets.load import from_preset
from keras_wmgm.presets.safety import read_json
from keras_wmgm.recipes import build_model
from keras_wmgm.recipes import build_optimizers
from keras_wmgm.recipes import renew_rates
from keras_wmgm.recipes import start_run
from keras_wmgm.recipes import train as train_stages
from keras_wmgm.recipes import transfer
from keras_wmgm.recipes import write_run
from keras_wmgm.utils.lock import FolderLock


def run_and_tell(
    plan: Plan, resumed: bool, sample_minutes: float, save_minutes: float
) -> None:
    """Run a plan, and say how to go on.

    Args:
        plan: The plan.
        resumed: Whether the run goes on.
        sample_minutes: Minutes between two grids of samples.
        save_minutes: Minutes between two saves.
    """
    folder = plan.run or plan.folder
    with FolderLock(folder):
        stop, whole = _run_all(plan, resumed, sample_minutes, save_minutes)
    if stop.received is not None:
        click.echo(f"Stopped. Go on: keras-wmgm train --resume {folder}")
        raise click.exceptions.Exit(128 + stop.received)
    if not whole:
        click.echo(f"Time is up. More: keras-wmgm train --resume {folder}")
    preset = folder / "preset"
    if not preset.exists():
        preset = plan.preset
    click.echo(
        f"Draw: keras-wmgm generate --preset {preset} --output samples.png"
    )


def _run_all(plan, resumed, *times):
    """Run a plan, and then distill its model if the recipe says so."""
    before = _epochs(plan)
    stop, whole = _run(plan, resumed, *times)
    stages = plan.recipe.stages
    by_clock = stages[-1].is_endless or all(s.minutes for s in stages)
    complete = whole or by_clock  # the clock ends these in their last stage
    if not plan.recipe.distill or stop.received is not None or not complete:
        return stop, whole
    if _epochs(plan) == before and (plan.folder / DISTILL).exists():
        return stop, whole  # the teacher is the same
    click.echo("Distilling: one call for each detail band.", err=True)
    shutil.rmtree(plan.folder / DISTILL, ignore_errors=True)
    return _run(distill_part(plan), False, *times)


def _epochs(plan):
    """Return the epochs that the last preset of a plan was trained for."""
    path = plan.preset / METADATA
    return read_json(path).get("epochs") if path.exists() else None


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
    if ended[0].received is None:
        write_run(plan.folder, plan.recipe, **plan.facts, ended=True)
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
    if teacher := plan.recipe.model.get("teacher"):
        origin["teacher"] = _public_name(teacher)
    if start := plan.facts.get("init_from"):
        origin["init_from"] = _public_name(start)
        origin["tuned"] = plan.facts.get("tuned", True)
    if not origin.get("tuned"):
        origin["recipe"] = plan.recipe.to_dict()
        if teacher:
            origin["recipe"]["model"]["teacher"] = origin["teacher"]
    return origin


def _public_name(preset):
    """Return a preset's name, without where it is on this machine.

    A plan names a folder by its absolute path, which may be gone by now.
    """
    path = Path(preset)
    if not path.is_absolute():  # on the Hub, or in the table of presets
        return preset
    inner = path.name in ("preset", TEACHER)
    return path.parent.name if inner else path.name


def _finish(plan, model, num_images):
    """Write the preset, and a last grid from its weights."""
    facts = {
        **_origin(plan),
        "data": plan.recipe.data.get("source", Path(plan.facts["data"]).name),
        "num_images": num_images,
        "epochs": model.epochs_trained,
    }
    _save_preset(model, plan.preset, facts)
    grid = SampleGrid(plan.folder)
    grid.set_model(model)
    grid.draw(plan.samples)
    click.echo(f"Samples: {plan.samples}")
