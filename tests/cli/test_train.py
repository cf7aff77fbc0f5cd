import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_wmgm
from keras_wmgm import recipes
from keras_wmgm.callbacks import load_run
from keras_wmgm.cli import new_plan
from keras_wmgm.cli import plan as plans
from keras_wmgm.cli import running
from keras_wmgm.cli import train as command
from keras_wmgm.cli.progress import Progress
from tests.callbacks.held import held
from tests.cli.command import content
from tests.cli.command import ok
from tests.cli.command import photographs
from tests.cli.command import pixels
from tests.cli.command import refused
from tests.cli.command import run
from tests.models import tiny

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-6
RECIPE = """
description = "Eight pixels of noise"
seed = 3
[data]
source = "waves"
image_size = 8
flip = true
[model]
class = "MultiscaleModel"
num_levels = 1
[model.coarse]
network = { filters = [4] }
[model.details]
kind = "gan"
condition_noise = 0.1
generator = { filters = [4], head_filters = 4 }
critic = { filters = [4], normalization = "none" }
[optimizers.coarse]
class = "Adam"
learning_rate = 1e-2
use_ema = true
ema_momentum = 0.5
decay = "cosine"
[[stages]]
factors = ["coarse"]
steps = 2
batch_size = 4
[[stages]]
epochs = 2
batch_size = 4
"""
EPOCHS = 3


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipes") / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def start(recipe, photos):
    """Return the arguments of a new run of the recipe."""

    def arguments(output, *more):
        args = ("--data", photos, "--recipe", recipe, "--output", output)
        return "train", *args, *more

    return arguments


@pytest.fixture(scope="module")
def unbroken(start, tmp_path_factory):
    """A run that came to its end, with a grid and a save every epoch."""
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    quick = ("--sample-minutes", 1e-9, "--save-minutes", 1e-9)
    said = ok(*start(folder, *quick))
    assert said.splitlines() == [
        f"Samples: {folder}/samples.png",
        f"Draw: keras-wmgm generate --preset {folder}/preset "
        "--output samples.png",
    ]
    return folder


def everything(folder):
    """Return all that makes up the state of a run."""
    model = load_run(folder)
    states = {f"averaged {k}": v for k, v in tiny.weights(model).items()}
    model.use_average(False)
    states |= {f"raw {k}": v for k, v in tiny.weights(model).items()}
    states["moments"] = sum(tiny.moments(model).values(), [])
    states["random"] = list(map(tiny.copy, tiny.random_states(model)))
    return model.epochs_trained, states


def assert_same_run(folder, other):
    (epochs, states), (expected, others) = map(everything, (folder, other))
    assert epochs == expected
    tiny.assert_equal(states, others, TOLERANCE)
    grids = [np.int32(pixels(f / "samples.png")) for f in (folder, other)]
    assert np.abs(grids[0] - grids[1]).max() <= 1


def test_a_run_leaves_its_state_samples_and_a_preset(unbroken):
    assert sorted(content(unbroken)) == [
        "history.jsonl",
        "preset/config.json",
        "preset/metadata.json",
        "preset/model.weights.h5",
        "run.json",
        "run.keras",
        "samples.png",
        *(f"samples/epoch_{epoch:04d}.png" for epoch in (1, 2, 3)),
    ]


def test_the_command_does_what_its_recipe_says(unbroken, recipe, photos):
    """The same in Python, and no difference in any weight."""
    tiny_recipe = recipes.read_recipe(recipe)
    model = recipes.build_model(tiny_recipe)
    before = tiny.weights(model)
    images = keras_wmgm.data.load_images(photos, 8)
    optimizers = recipes.build_optimizers(tiny_recipe, model, len(images))
    model.compile(optimizers)
    assert recipes.train(model, tiny_recipe, images)
    epochs, states = everything(unbroken)
    assert model.epochs_trained == epochs == EPOCHS
    averaged = {f"averaged {k}": v for k, v in tiny.weights(model).items()}
    found = {key: states[key] for key in averaged}
    tiny.assert_equal(found, averaged, TOLERANCE)
    assert tiny.moved(tiny.weights(model), before) == before.keys()


def test_the_preset_draws_the_grid_of_the_run(unbroken, tmp_path):
    ok("generate", "--preset", unbroken / "preset", "--output", tmp_path / "a/")
    drawn = [pixels(path) for path in sorted((tmp_path / "a").glob("*.png"))]
    grid = pixels(unbroken / "samples.png")
    cells = grid.reshape(4, 8, 4, 8, 3).swapaxes(1, 2).reshape(16, 8, 8, 3)
    # The preset's weights are halved.
    assert np.abs(np.int32(drawn) - cells).max() <= 3
    last = pixels(unbroken / "samples" / f"epoch_{EPOCHS:04d}.png")
    assert np.abs(np.int32(last) - grid).max() <= 1
    first = pixels(unbroken / "samples" / "epoch_0001.png")
    assert np.abs(np.int32(first) - grid).max() > 3


def test_the_preset_tells_how_it_was_made(unbroken, recipe, photos):
    metadata = json.loads((unbroken / "preset" / "metadata.json").read_text())
    expected = recipes.read_recipe(recipe).to_dict()
    assert metadata["recipe"] == expected
    assert (metadata["data"], metadata["num_images"]) == ("waves", 8)
    assert (metadata["epochs"], metadata["class"]) == (3, "MultiscaleModel")
    run_json = json.loads((unbroken / "run.json").read_text())
    facts = {"data": str(photos), "ended": True}
    assert run_json == {**facts, "recipe": expected}


@pytest.mark.parametrize("epoch", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_run_that_was_stopped_goes_on(
    start, unbroken, tmp_path, monkeypatch, epoch
):
    """Stopped between two stages, and within one."""
    folder, shown = tmp_path / "run", Progress.on_train_batch_end

    def stop(self, batch, logs=None):
        shown(self, batch, logs)
        if self.model.epochs_trained == epoch and batch == 1:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_train_batch_end", stop)
        result = run(*start(folder))
    assert result.exit_code == 128 + signal.SIGTERM
    go_on = f"Stopped. Go on: keras-wmgm train --resume {folder}"
    assert result.stdout.splitlines()[-1] == go_on
    assert load_run(folder).epochs_trained == epoch + 1
    assert (folder / "preset" / "config.json").is_file()
    ok("train", "--resume", folder)
    assert_same_run(folder, unbroken)


def test_a_second_process_on_a_run_is_refused(start, unbroken, tmp_path):
    folder = shutil.copytree(unbroken, tmp_path / "run")
    new = tmp_path / "new"
    new.mkdir()
    with held(folder), held(new):
        before = content(tmp_path)
        for args in (("train", "--resume", folder), start(new)):
            assert "Another process uses this" in refused(*args)
        assert content(tmp_path) == before


def test_an_optimizer_that_the_recipe_has_no_more_is_told(unbroken, tmp_path):
    folder = shutil.copytree(unbroken, tmp_path / "run")
    path = folder / "run.json"
    facts = json.loads(path.read_text())
    facts["recipe"]["optimizers"]["coarse"] = {"class": "SGD"}
    path.write_text(json.dumps(facts))
    result = run("train", "--resume", folder)
    assert result.exit_code == 0, result.output
    line = "coarse goes on with the Adam and the learning rate of its last run"
    assert line in result.stderr


@pytest.mark.parametrize(
    "output", ["n" * 300, "n" * 300 + "/run", "/dev/null", "run/" * 1100]
)
def test_an_output_that_cannot_be_made_is_refused_first(
    start, in_tmp, tmp_path, monkeypatch, output
):
    monkeypatch.setattr(new_plan, "read_recipe", None)
    said = refused(*start(output))
    assert "too long" in said or "there is a file" in said
    assert content(tmp_path) == {} and not list(tmp_path.iterdir())


def test_paths_may_begin_at_home(start, tmp_path, monkeypatch, photos):
    """Also where the shell has left them as they are: --output=~/run."""
    monkeypatch.setenv("HOME", str(photos.parent))
    plan = []
    monkeypatch.setattr(
        command, "run_and_tell", lambda *args: plan.append(args[0])
    )
    run("train", "--data=~/photos", "--image-size=8", f"--output={tmp_path}/r")
    assert plan[0].facts["data"] == str(photos)
    monkeypatch.setenv("HOME", str(tmp_path))
    run("train", f"--data={photos}", "--image-size=8", "--output=~/run")
    assert plan[1].folder == tmp_path / "run"


@pytest.mark.slow
def test_a_run_that_never_was_saved_starts_anew(start, unbroken, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(unbroken / "run.json", folder)
    ok("train", "--resume", folder)
    assert_same_run(folder, unbroken)


def test_more_epochs_follow_where_the_data_are_now(unbroken, tmp_path, photos):
    folder = shutil.copytree(unbroken, tmp_path / "run")
    moved = shutil.copytree(photos, tmp_path / "moved")
    ok("train", "--resume", folder, "--epochs", 3, "--data", moved)
    assert load_run(folder).epochs_trained == EPOCHS + 1


def test_a_run_stops_after_some_minutes(tmp_path, photos):
    endless = tmp_path / "endless.toml"
    endless.write_text(RECIPE.replace("epochs = 2", ""))
    folder = tmp_path / "run"
    args = ("--data", photos, "--recipe", endless, "--output", folder)
    said = ok("train", *args, "--minutes", 1 / 600)
    assert f"Time is up. More: keras-wmgm train --resume {folder}" in said
    done = load_run(folder).epochs_trained
    assert done >= 1
    ok("train", "--resume", folder, "--minutes", 1 / 600)
    assert load_run(folder).epochs_trained > done


def test_factors_share_the_minutes_also_when_a_run_goes_on(tmp_path, photos):
    folder = tmp_path / "run"
    args = ("--data", photos, "--image-size", 8, "--output", folder)
    said = ok("train", *args, "--model", "wsgm", "--minutes", 1 / 600)
    assert f"Time is up. More: keras-wmgm train --resume {folder}" in said
    recipe, _ = recipes.read_run(folder)
    shares = [stage.minutes * 600 for stage in recipe.stages]
    assert shares == pytest.approx([1 / 3, 2 / 3])
    assert plans.resumed_plan(folder, {"minutes": 6.0}).minutes == 6.0
    again = plans.resumed_plan(folder, {})
    assert again.minutes == pytest.approx(1 / 600)
    line = refused("train", "--resume", folder, "--epochs", 3)
    assert "is limited by time: give --minutes. Received: --epochs 3" in line


def test_training_that_fails_leaves_no_run_of_it(start, tmp_path, recipe):
    wild = tmp_path / "wild.toml"
    wild.write_text(RECIPE.replace("= 1e-2", "= 1e30"))
    args = list(start(tmp_path / "run"))
    args[args.index(recipe)] = wild
    line = refused(*args)
    assert "`coarse_loss` is " in line
    assert "after epoch 1: lower the learning rate" in line
    assert list(content(tmp_path / "run")) == ["run.json"]


def test_corrupt_images_are_left_out_if_asked(start, tmp_path):
    data = photographs(tmp_path / "data", 5)
    (data / "3.png").write_bytes(b"no image")
    args = ("--data", data, "--on-error", "skip")
    said = ok(*start(tmp_path / "run"), *args)
    assert "left out: 3.png: " in said
    path = tmp_path / "run" / "preset" / "metadata.json"
    metadata = json.loads(path.read_text())
    assert metadata["num_images"] == 4
    assert metadata["recipe"]["data"]["on_error"] == "skip"


class Record(keras.callbacks.Callback):
    """Keeps copies of the weights, before training and after each epoch."""

    def __init__(self):
        super().__init__()
        self.states = []

    def on_epoch_begin(self, epoch, logs=None):
        if not self.states:
            self.states.append(tiny.weights(self.model))

    def on_epoch_end(self, epoch, logs=None):
        self.states.append(tiny.weights(self.model))


def test_a_run_from_a_preset_warms_its_critics_up(
    preset, photos, tmp_path, monkeypatch
):
    record, train = Record(), running.train_stages
    monkeypatch.setattr(new_plan, "CRITIC_WARMUP_STEPS", 3)
    monkeypatch.setattr(
        running,
        "train_stages",
        lambda *args: train(*args[:3], [*args[3], record], *args[4:]),
    )
    args = ("--data", photos, "--init-from", preset, "--batch-size", 4)
    ok("train", *args, "--output", tmp_path / "run", "--epochs", 1)
    before, *after = record.states
    expected = tiny.weights(keras_wmgm.from_preset(preset))
    tiny.assert_equal({k: before[k] for k in expected}, expected)
    moves = [
        tiny.moved(new, old)
        for old, new in zip(record.states, after, strict=False)
    ]
    turns = [{"coarse"}, {"detail_2"}, {"critic_1", "detail_1"}]
    assert moves == [{"critic_1"}, {"critic_1"}, *turns]
    metadata = tmp_path / "run" / "preset" / "metadata.json"
    metadata = json.loads(metadata.read_text())
    # No recipe makes it, and where the other preset lies is not told.
    assert "recipe" not in metadata and metadata["tuned"] is True
    assert metadata["init_from"] == preset.name
    recipe, facts = recipes.read_run(tmp_path / "run")
    assert facts["init_from"] == str(preset)
    assert recipe.data["image_size"] == 8
    assert recipe.model == {"class": "MultiscaleModel", "num_levels": 2}
    assert recipe.stages == [
        recipes.Stage(["critic_1"], steps=3, batch_size=4),
        *(
            recipes.Stage([name], epochs=1, batch_size=4)
            for name in ("coarse", "detail_2", "detail_1")
        ),
    ]


@pytest.mark.parametrize(
    "start, name",
    [
        ("hf://me/cats", "hf://me/cats"),
        (keras_wmgm.DEFAULT_PRESET, keras_wmgm.DEFAULT_PRESET),
        ("/home/me/gone/cats", "cats"),
        ("/home/me/gone/cats/preset", "cats"),
        ("/home/me/gone/cats/teacher", "cats"),
    ],
)
def test_where_a_preset_was_is_not_told(start, name, tmp_path):
    facts = {"data": str(tmp_path), "init_from": start}
    made = recipes.Recipe({"image_size": 8}, {})
    plan = plans.Plan(made, tmp_path, facts, None)
    assert running._origin(plan) == {"init_from": name, "tuned": True}
    made.model = {"class": "WMGM", "teacher": start}
    told = {**made.to_dict(), "model": {"class": "WMGM", "teacher": name}}
    plan = plans.Plan(made, tmp_path, {}, None)
    assert running._origin(plan) == {"teacher": name, "recipe": told}


@pytest.mark.parametrize("inside", ["", ":train", ":train/../test"])
@pytest.mark.parametrize("ending", [".zip", ".ZIP"])
def test_a_zip_file_is_named_from_everywhere(in_tmp, ending, inside):
    expected = f"{Path.cwd() / 'photos'}{ending}{inside}"
    assert plans.absolute(f"photos{ending}{inside}") == expected


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    """The recipe for twice the size, whose coarse factor stays as it is."""
    path = tmp_path_factory.mktemp("larger") / "larger.toml"
    text = RECIPE.replace("image_size = 8", "image_size = 16")
    text = text.replace("num_levels = 1", "num_levels = 2")
    path.write_text(text.replace("= 1e-2", "= 0.0"))
    return path


def test_a_larger_model_starts_from_a_smaller_ones_bands(
    unbroken, larger, tmp_path
):
    data = photographs(tmp_path / "data", size=16)
    args = ("--data", data, "--recipe", larger)
    given = ("--init-from", unbroken / "preset", "--output", tmp_path / "run")
    ok("train", *args, *given)
    source = keras_wmgm.from_preset(unbroken / "preset")
    model = keras_wmgm.from_preset(tmp_path / "run" / "preset")
    assert model.image_shape == (16, 16, 3)
    actual, expected = tiny.weights(model), tiny.weights(source)
    tiny.assert_equal(
        {"coarse": actual["coarse"]}, {"coarse": expected["coarse"]}, 1e-3
    )
    assert load_run(tmp_path / "run").image_shape == (16, 16, 3)


def test_a_preset_without_a_band_like_it_is_refused(
    preset, larger, photos, tmp_path
):
    args = ("--data", photos, "--recipe", larger, "--init-from", preset)
    line = refused("train", *args, "--output", tmp_path / "run")
    assert "no network with the same weights" in line
    assert not (tmp_path / "run").exists()


def test_a_recipe_takes_what_fits_from_a_preset_of_its_size(
    unbroken, photos, tmp_path
):
    text = RECIPE.replace("= 1e-2", "= 0.0")
    recipe = tmp_path / "recipe.toml"
    given = {
        "data": str(photos),
        "recipe": str(recipe),
        "init_from": str(unbroken / "preset"),
    }
    recipe.write_text(text)
    plan = new_plan.make_plan({**given, "output": tmp_path / "same"})
    stages = recipes.read_recipe(recipe).stages
    steps = new_plan.CRITIC_WARMUP_STEPS
    warmup = recipes.Stage(["critic"], steps=steps, batch_size=4)
    assert plan.recipe.stages == [warmup, *stages]

    recipe.write_text(
        text.replace("filters = [4], head", "filters = [8], head")
    )
    plan = new_plan.make_plan({**given, "output": tmp_path / "wider"})
    assert plan.recipe.stages == stages
    found = tiny.weights(running._started(plan))
    source = tiny.weights(keras_wmgm.from_preset(unbroken / "preset"))
    tiny.assert_equal({"coarse": found["coarse"]}, {"coarse": source["coarse"]})
    assert found["detail"][0].shape != source["detail"][0].shape


def test_critics_of_others_are_not_warmed_up(preset, photos, in_tmp):
    given = {"data": str(photos), "output": "a", "init_from": str(preset)}
    plan = new_plan.make_plan({**given, "factors": "coarse", "epochs": 2})
    assert plan.recipe.stages == [recipes.Stage(["coarse"], epochs=2)]


@pytest.mark.parametrize(
    "size, levels",
    [(8, 1), (32, 2), (40, 2), (64, 3), (96, 4), (128, 4), (256, 5)],
)
def test_the_levels_follow_from_the_size(photos, in_tmp, size, levels):
    given = {"data": str(photos), "output": "a", "image_size": size}
    plan = new_plan.make_plan({**given, "minutes": None})
    assert plan.recipe.model == {
        "class": "WSGM",
        "num_levels": levels,
    }
    names = [f"detail_{k}" for k in range(levels, 0, -1)]
    stages = [(s.factors, s.start_from) for s in plan.recipe.stages]
    starts = [None, None, *names]
    assert stages == [
        ([name], start)
        for name, start in zip(["coarse", *names], starts, strict=False)
    ]
    assert [s.factors for s in plan.recipe.distill] == [[n] for n in names]
    # Both share the time.
    parts = (plan.recipe.stages, plan.recipe.distill)
    minutes = [sum(stage.minutes for stage in part) for part in parts]
    share = new_plan.DISTILL_SHARE
    expected = [plans.DEFAULT_MINUTES * s for s in (1 - share, share)]
    assert minutes == pytest.approx(expected)
    assert plan.minutes == pytest.approx(expected[0])
    if size in (32, 40):
        model = recipes.build_model(plan.recipe)
        assert model.image_shape == (size, size, 3)
        assert model.network_calls(8) == 24


def test_options_are_what_the_run_is_made_of(photos, tmp_path):
    given = {
        "data": f"{photos}.zip:train",
        "output": tmp_path / "a",
        "image_size": 16,
        "channels": "1",
        "crop": "stretch",
        "flip": True,
        "model_class": "wmgm",
        "num_levels": 1,
        "factors": "coarse, detail",
        "epochs": 7,
        "batch_size": 5,
        "seed": 9,
        "precision": "mixed_bfloat16",
    }
    plan = new_plan.make_plan(given)
    assert plan.recipe == recipes.Recipe(
        data={"image_size": 16, "channels": 1, "crop": "stretch", "flip": True},
        model={"class": "WSGM", "num_levels": 1},
        stages=[
            recipes.Stage([name], epochs=7, batch_size=5)
            for name in ("coarse", "detail")
        ],
        seed=9,
        precision="mixed_bfloat16",
    )
    assert plan.facts == {"data": f"{photos.resolve()}.zip:train"}
    assert plan.minutes is None


def test_a_plan_knows_its_steps():
    stages = [
        {"steps": 9, "batch_size": 4},
        {"epochs": 2, "batch_size": 8},
    ]
    values = {"data": {"image_size": 8}, "model": {}, "stages": stages}
    recipe = recipes.Recipe.from_dict(values)
    plan = plans.Plan(recipe, Path("a"), {}, None)
    # Five epochs of two steps, then two of one.
    found = [plan.steps(epochs, 8) for epochs in range(8)]
    assert found == [(n, 12) for n in (0, 2, 4, 6, 8, 10, 11, 12)]
    recipe.stages[-1].epochs = None
    assert [plan.steps(e, 8) for e in (4, 9)] == [(8, None), (14, None)]


@pytest.mark.slow
def test_precision_is_that_of_the_run(start, tmp_path, mixed_bfloat16):
    keras.config.set_dtype_policy("float32")
    ok(*start(tmp_path / "run", "--precision", "mixed_bfloat16"))
    model = load_run(tmp_path / "run")
    assert model.networks["coarse"].layers[-1].compute_dtype == "bfloat16"


# In a process of its own

KILLED_IN_THE_LAST_EPOCH = """
import os, signal
from keras_wmgm.cli.progress import Progress
def kill(self, batch, logs=None):
    if (self.model.epochs_trained, batch) == (2, 0):
        os.kill(os.getpid(), signal.SIGKILL)
Progress.on_train_batch_end = kill
"""


@pytest.fixture
def popen():
    """Start the command line. What is still running is ended."""
    started = []

    def start(*args, first=""):
        script = f"{first}\nfrom keras_wmgm.cli import main; main()"
        torch = os.environ.get("KERAS_BACKEND") == "torch"
        process = subprocess.Popen(
            [sys.executable, "-c", "import torch;" * torch + script]
            + [str(arg) for arg in args],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


def wait_for(path, process):
    """Wait until a file is there, for as long as the process may make it."""
    while not path.exists():
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_stops(start, tmp_path, popen, number):
    long = tmp_path / "long.toml"
    long.write_text(RECIPE.replace("epochs = 2", "epochs = 1_000_000"))
    args = [long if "tiny.toml" in str(a) else a for a in start(tmp_path / "r")]
    # The ten minutes end it where this process is killed itself.
    process = popen(*args, "--sample-minutes", 1e-9, "--minutes", 10)
    wait_for(tmp_path / "r" / "samples" / "epoch_0002.png", process)
    process.send_signal(number)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 128 + number
    assert said.endswith(
        f"Stopped. Go on: keras-wmgm train --resume {tmp_path / 'r'}\n"
    )
    assert "Traceback" not in said and re.search("coarse_loss=", said)
    done = load_run(tmp_path / "r").epochs_trained
    assert done >= 2
    ok("train", "--resume", tmp_path / "r", "--minutes", 1 / 600)
    assert load_run(tmp_path / "r").epochs_trained > done


@pytest.mark.slow
def test_a_killed_run_goes_on(start, unbroken, tmp_path, popen):
    args = start(tmp_path / "run", "--save-minutes", 1e-9)
    process = popen(*args, first=KILLED_IN_THE_LAST_EPOCH)
    said, _ = process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    assert load_run(tmp_path / "run").epochs_trained == EPOCHS - 1
    ok("train", "--resume", tmp_path / "run")
    assert_same_run(tmp_path / "run", unbroken)
