"""A WSGM is trained, and distilled into a WMGM: by one command, or by two."""

import json
import shutil
import signal
import zipfile

import keras
import numpy as np
import pytest

import keras_wmgm
from keras_wmgm import recipes
from keras_wmgm.callbacks import load_run
from keras_wmgm.callbacks.run_folder import RUN_FILE
from keras_wmgm.cli import new_plan
from keras_wmgm.cli import plan as plans
from keras_wmgm.cli import running
from keras_wmgm.cli.progress import Progress
from keras_wmgm.models import wsgm
from keras_wmgm.presets.folder import FILES
from tests.cli.command import content
from tests.cli.command import ok
from tests.cli.command import photographs
from tests.cli.command import pixels
from tests.cli.command import refused
from tests.cli.command import run
from tests.cli.test_train import everything
from tests.models import tiny

TOLERANCE = 1e-6
DATA = """
seed = 3
[data]
source = "waves"
image_size = 16
flip = true
"""
WSGM = """
[model]
class = "WSGM"
num_levels = 2
"""
GAN = """
[model.details]
kind = "gan"
generator = { filters = [4], head_filters = 4 }
critic = { filters = [4], normalization = "none" }
"""
STAGE = "epochs = 1\nbatch_size = 4\n"
NAMES = ("coarse", "detail_2", "detail_1")
RECIPE = f"{DATA}{WSGM}[[stages]]\n{STAGE}" + "".join(
    f"[[distill]]\nfactors = ['{name}']\n{STAGE}" for name in NAMES
)
OFTEN = ("--save-minutes", 1e-9)


def guided(channels):
    guide = tiny.score(channels)
    return tiny.diffusion(channels, guide=guide, guidance=1.5)


@pytest.fixture(scope="module", autouse=True)
def _small():
    """The networks of a WSGM are two convolutions each; the coarse has two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wsgm, "coarse_diffusion", guided)
        patch.setattr(
            wsgm,
            "detail_diffusion",
            lambda c: tiny.diffusion(3 * c, condition=c),
        )
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Eight images of 16x16 pixels; not to be written to."""
    return photographs(tmp_path_factory.mktemp("data") / "photos", size=16)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipes") / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def whole(photos, recipe, tmp_path_factory):
    """A run that came to its end; not to be written to."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    said = ok(*start(photos, recipe, folder))
    samples, *_, draw = said.splitlines()
    assert samples == f"Samples: {folder}/samples.png"
    assert draw == (
        f"Draw: keras-wmgm generate --preset {folder}/preset "
        "--output samples.png"
    )
    return folder


@pytest.fixture
def unguided(monkeypatch):
    """The coarse factor of a WSGM has no guide, as by default."""
    monkeypatch.setattr(wsgm, "coarse_diffusion", tiny.diffusion)


def start(photos, recipe, output):
    args = ("--data", photos, "--recipe", recipe, "--output", output)
    return "train", *args, *OFTEN


def metadata(preset):
    return json.loads((preset / "metadata.json").read_text())


def stages(recipe, of="stages"):
    return [
        (*stage.factors, stage.minutes, stage.epochs)
        for stage in getattr(recipe, of)
    ]


def assert_same_distillation(folder, other):
    runs = (folder / "distill", other / "distill")
    (epochs, states), (expected, others) = map(everything, runs)
    assert epochs == expected
    tiny.assert_equal(states, others, TOLERANCE)
    grids = [np.int32(pixels(f / "samples.png")) for f in (folder, other)]
    assert np.abs(grids[0] - grids[1]).max() <= 1


# The whole way


def test_a_run_leaves_its_teacher_and_a_run_within_it(whole):
    assert sorted(content(whole)) == [
        "distill/history.jsonl",
        "distill/run.json",
        "distill/run.keras",
        "history.jsonl",
        *(f"preset/{name}" for name in sorted(FILES)),
        "run.json",
        "run.keras",
        "samples.png",
        *(f"teacher/{name}" for name in sorted(FILES)),
    ]
    made = {n: keras_wmgm.from_preset(whole / n) for n in ("teacher", "preset")}
    assert type(made["teacher"]) is keras_wmgm.WSGM
    assert type(made["preset"]) is keras_wmgm.WMGM
    # Eight steps with a guide and 8 + 8; then 8 steps, and one call a level.
    calls = {name: model.network_calls(8) for name, model in made.items()}
    assert calls == {"teacher": 32, "preset": 10}
    epochs = [load_run(f).epochs_trained for f in (whole, whole / "distill")]
    assert epochs == [1, 3]


def test_the_command_does_what_its_recipe_says(whole, recipe, photos):
    """The same in Python, and no difference in any weight."""
    read = recipes.read_recipe(recipe)
    distilled = recipes.distillation(read, str(whole / "teacher"))
    model = recipes.build_model(distilled)
    before = tiny.weights(model)
    images = keras_wmgm.data.load_images(photos, 16)
    model.compile(recipes.build_optimizers(distilled, model, len(images)))
    assert recipes.train(model, distilled, images)
    found = tiny.weights(load_run(whole / "distill"))
    tiny.assert_equal(found, tiny.weights(model), TOLERANCE)
    before = {n: w for n, w in before.items() if not n.startswith("fake")}
    assert tiny.moved(found, before) == set(NAMES)
    before = tiny.weights(keras_wmgm.from_preset(whole / "teacher"))
    drawing = {name: found[name] for name in NAMES}
    assert tiny.moved(drawing, {n: before[n] for n in NAMES}) == set(NAMES)


def test_the_preset_holds_what_draws_and_nothing_else(whole):
    preset = keras_wmgm.from_preset(whole / "preset")
    assert set(preset.networks) == set(NAMES)
    model = load_run(whole / "distill")
    found, averaged = tiny.weights(preset), tiny.weights(model)
    expected = {name: averaged[name] for name in found}
    tiny.assert_equal(found, expected, 1e-3)  # halved
    config = json.loads((whole / "preset" / "config.json").read_text())
    made = [config["config"]["coarse"], *config["config"]["details"]]
    for factor in made:
        assert factor["config"]["teacher"] is None
        assert factor["config"].get("guide") is factor["config"].get("fake")
    facts = metadata(whole / "preset")
    counts = [model.networks[name].count_params() for name in NAMES]
    assert facts["parameters"] == sum(counts)
    assert facts["parameters"] < metadata(whole / "teacher")["parameters"]


def test_the_preset_tells_how_it_was_made(whole, recipe, photos):
    facts = metadata(whole / "preset")
    assert (facts["class"], facts["teacher"]) == ("WMGM", "whole")
    assert (facts["data"], facts["num_images"]) == ("waves", 8)
    assert facts["epochs"] == 3
    read = recipes.read_recipe(recipe)
    expected = recipes.distillation(read, "whole")
    assert recipes.Recipe.from_dict(facts["recipe"]) == expected
    facts = metadata(whole / "teacher")
    assert (facts["class"], facts["epochs"]) == ("WSGM", 1)
    assert recipes.Recipe.from_dict(facts["recipe"]) == read
    # Where things lie on this machine is not told.
    places = [str(place.parent).encode() for place in (whole, photos, recipe)]
    for name in ("preset", "teacher"):
        for written in content(whole / name).values():
            assert not any(place in written for place in places)


def test_the_preset_draws_the_grid_of_the_run(whole, tmp_path):
    grid = tmp_path / "grid.png"
    ok("generate", "--preset", whole / "preset", "--output", grid)
    drawn = np.int32(pixels(grid))
    assert np.abs(drawn - pixels(whole / "samples.png")).max() <= 3  # halved
    args = ("--output", grid, "--overwrite")
    ok("generate", "--preset", whole / "teacher", *args)
    assert np.abs(drawn - pixels(grid)).max() > 3


def test_without_a_recipe_the_networks_are_distilled_too(
    unguided, photos, tmp_path
):
    args = ("--data", photos, "--image-size", 16, "--batch-size", 4)
    folder = tmp_path / "run"
    ok("train", *args, "--output", folder, "--minutes", 1 / 600)
    assert metadata(folder / "teacher")["class"] == "WSGM"
    assert metadata(folder / "preset")["class"] == "WMGM"
    first, then = (recipes.read_run(f)[0] for f in (folder, folder / "distill"))
    share = new_plan.DISTILL_SHARE / 600
    assert stages(then) == [("detail_1", pytest.approx(share), None)]
    assert stages(first, "distill") == stages(then)
    alone = tmp_path / "alone"
    once = ("--epochs", 1, "--model", "wsgm")
    ok("train", *args, "--output", alone, *once)
    assert metadata(alone / "preset")["class"] == "WSGM"
    assert not (alone / "distill").exists()
    assert not (alone / "teacher").exists()


def test_a_short_run_is_distilled_only_if_asked(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(new_plan, "DISTILL_FROM", 15.0)
    given = {"data": str(photos), "image_size": 16}
    for minutes, model, distilled in (
        (14.0, None, False),
        (15.0, None, True),
        (14.0, "wmgm", True),
        (60.0, "wsgm", False),
    ):
        output = str(tmp_path / f"{minutes:g}{model}")
        options = {"minutes": minutes, "model_class": model, "output": output}
        plan = new_plan.make_plan({**given, **options})
        assert bool(plan.recipe.distill) == distilled
        whole = [*plan.recipe.stages, *plan.recipe.distill]
        assert sum(s.minutes for s in whole) == pytest.approx(minutes)


# Of a preset


def test_a_teacher_is_distilled_by_a_command_of_its_own(
    whole, photos, tmp_path
):
    """As at the end of the run that has trained it."""
    folder = tmp_path / "fast"
    args = ("--preset", whole / "teacher", "--data", photos, "--seed", 3)
    more = ("--flip", "--epochs", 1, "--batch-size", 4)
    said = ok("distill", *args, *more, "--output", folder)
    assert f"--preset {folder}/preset" in said.splitlines()[-1]
    preset = keras_wmgm.from_preset(folder / "preset")
    assert type(preset) is keras_wmgm.WMGM
    assert preset.network_calls(8) == 8 + 2
    assert preset.network_calls(3) == 3 + 2
    expected = keras_wmgm.from_preset(whole / "preset")
    tiny.assert_equal(tiny.weights(preset), tiny.weights(expected), 1e-3)
    facts = metadata(folder / "preset")
    assert (facts["teacher"], facts["data"]) == ("whole", "photos")
    made, facts = recipes.read_run(folder)
    assert facts == {"data": str(photos), "ended": True}
    assert made.model == {"class": "WMGM", "teacher": str(whole / "teacher")}
    assert stages(made) == [(name, None, 1) for name in NAMES]
    # It is a run as others are.
    ok("train", "--resume", folder, "--epochs", 2)
    assert load_run(folder).epochs_trained == 4
    assert metadata(folder / "preset")["epochs"] == 4


def test_the_coarse_band_of_a_distilled_model_is_tuned(whole, photos, tmp_path):
    """Its details cannot be, as their teacher is not in the preset."""
    args = ("--init-from", whole / "preset", "--data", photos, "--epochs", 1)
    more = ("--factors", "coarse", "--output", tmp_path / "run")
    ok("train", *args, *more)
    before, after = (
        tiny.weights(keras_wmgm.from_preset(folder / "preset"))
        for folder in (whole, tmp_path / "run")
    )
    assert tiny.moved(after, before) == {"coarse"}
    assert metadata(tmp_path / "run" / "preset")["class"] == "WMGM"
    assert not (tmp_path / "run" / "distill").exists()


# Stopped, and on


class PowerCut(keras.callbacks.Callback):
    """Fails in the second epoch of a distillation, before it is saved."""

    def __init__(self, tell):
        super().__init__()

    def on_epoch_end(self, epoch, logs=None):
        if "fake_1" in self.model.networks and epoch == 1:
            raise ZeroDivisionError("power cut")


@pytest.fixture(scope="module")
def cut(photos, recipe, tmp_path_factory):
    """A run that was killed as it was distilled; not to be written to."""
    folder = tmp_path_factory.mktemp("runs") / "cut"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "Watch", PowerCut)
        line = refused(*start(photos, recipe, folder))
    assert line == "Error: power cut"
    return folder


@pytest.mark.parametrize("saved", [True, False])
def test_a_run_goes_on_with_an_unfinished_distillation(
    cut, whole, tmp_path, saved
):
    folder = shutil.copytree(cut, tmp_path / "run")
    assert metadata(folder / "teacher")["class"] == "WSGM"
    assert not (folder / "preset").exists()
    assert load_run(folder / "distill").epochs_trained == 1
    if not saved:  # as before its first epoch ended
        (folder / "distill" / RUN_FILE).unlink()
        (folder / "distill" / "history.jsonl").unlink()
    before = content(folder)
    said = ok("train", "--resume", folder)
    assert f"--preset {folder}/preset" in said.splitlines()[-1]
    after = content(folder)
    kept = [n for n in before if n.startswith("teacher/")]
    for name in ("run.json", RUN_FILE, "history.jsonl", *kept):
        assert after[name] == before[name]
    assert after.keys() == content(whole).keys()
    lines = (folder / "distill" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    assert_same_distillation(folder, whole)
    facts = metadata(folder / "preset")
    assert (facts["class"], facts["teacher"]) == ("WMGM", "run")


def test_a_distillation_that_was_stopped_goes_on(whole, tmp_path, monkeypatch):
    folder, shown = tmp_path / "run", Progress.on_train_batch_end
    shutil.copytree(whole, folder, ignore=lambda *_: ["distill", "teacher"])

    def stop(self, batch, logs=None):
        shown(self, batch, logs)
        if batch == 1:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "on_train_batch_end", stop)
        result = run("train", "--resume", folder)
    assert result.exit_code == 128 + signal.SIGTERM
    go_on = f"Stopped. Go on: keras-wmgm train --resume {folder}"
    assert result.stdout.splitlines()[-1] == go_on
    assert load_run(folder / "distill").epochs_trained == 1
    assert metadata(folder / "preset")["class"] == "WMGM"
    ok("train", "--resume", folder)
    assert_same_distillation(folder, whole)


def test_after_the_end_the_teacher_goes_on_and_is_distilled_anew(
    whole, tmp_path
):
    folder = shutil.copytree(whole, tmp_path / "run")
    ok("train", "--resume", folder, "--epochs", 2)
    epochs = [load_run(f).epochs_trained for f in (folder, folder / "distill")]
    assert epochs == [2, 3]
    found = [metadata(folder / n)["epochs"] for n in ("teacher", "preset")]
    assert found == [2, 3]
    lines = (folder / "distill" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    for name in ("teacher", "preset"):
        before, after = (
            tiny.weights(keras_wmgm.from_preset(f / name))
            for f in (whole, folder)
        )
        assert {*NAMES} <= tiny.moved(after, before)
    # Its teacher is the one that went on.
    student = tiny.weights(load_run(folder / "distill"))
    teacher = tiny.weights(keras_wmgm.from_preset(folder / "teacher"))
    for k in (1, 2):
        found, expected = student[f"teacher_{k}"], teacher[f"detail_{k}"]
        tiny.assert_equal({"teacher": found}, {"teacher": expected})
    assert recipes.read_run(folder)[1]["ended"]


# The time


def given(photos, output, **values):
    return {"data": str(photos), "output": output, "image_size": 16, **values}


def test_both_share_the_minutes(unguided, photos, tmp_path):
    """Also where a run goes on."""
    plan = new_plan.make_plan(given(photos, tmp_path / "a", minutes=10.0))
    approx = pytest.approx
    expected = [("coarse", approx(2.0), None), ("detail_1", approx(4.0), None)]
    assert stages(plan.recipe) == expected
    assert stages(plan.recipe, "distill") == [("detail_1", approx(4.0), None)]
    then = plans.distill_part(plan)
    assert (plan.minutes, then.minutes) == (approx(6.0), approx(4.0))
    recipes.start_run(plan.folder, plan.recipe, **plan.facts)
    for minutes, total in ((None, 10), (5.0, 5)):
        again = plans.resumed_plan(plan.folder, {"minutes": minutes})
        then = plans.distill_part(again)
        found = (again.minutes, then.minutes)
        assert found == (approx(0.6 * total), approx(0.4 * total))
    # The rest of a distillation has all of the time.
    recipes.start_run(then.folder, then.recipe, **then.facts)
    rest = plans.resumed_plan(plan.folder, {"minutes": 3.0})
    assert (rest.minutes, rest.run) == (3.0, plan.folder)
    assert rest.folder == plan.folder / "distill"


def test_a_distillation_takes_a_part_of_the_epochs(unguided, photos, tmp_path):
    plan = new_plan.make_plan(given(photos, tmp_path / "a", epochs=6))
    found = stages(plan.recipe)
    assert found == [("coarse", None, 6), ("detail_1", None, 6)]
    assert stages(plan.recipe, "distill") == [("detail_1", None, 3)]
    assert plan.minutes is None and plans.distill_part(plan).minutes is None


@pytest.mark.parametrize(
    "options", [{"model_class": "wsgm"}, {"factors": "coarse,detail_1"}]
)
def test_what_is_not_distilled_has_all_of_the_time(
    unguided, photos, tmp_path, options
):
    values = given(photos, tmp_path / "a", minutes=10.0, **options)
    plan = new_plan.make_plan(values)
    assert plan.minutes == 10 and plan.recipe.distill == []
    assert sum(stage.minutes for stage in plan.recipe.stages) == 10


def test_a_preset_that_is_tuned_is_distilled_if_it_can_be(
    whole, preset, photos, tmp_path
):
    values = {"data": str(photos), "minutes": 10.0}
    values |= {"init_from": str(whole / "teacher"), "output": tmp_path / "a"}
    plan = new_plan.make_plan({**values, "model_class": "wmgm"})
    found = stages(plan.recipe, "distill")
    expected = (("coarse", 1.0), ("detail_2", 1.0), ("detail_1", 2.0))
    assert found == [(n, pytest.approx(m), None) for n, m in expected]
    # A GAN's details need no distillation.
    values |= {"init_from": str(preset), "output": tmp_path / "b"}
    plan = new_plan.make_plan(values)
    assert plan.recipe.distill == [] and plan.minutes == 10


def test_what_has_no_details_is_tuned_as_before(photos, tmp_path):
    model = tiny.model(0, size=16, channels=3)
    model.adapt(keras_wmgm.data.load_images(photos, 16))
    model.save_to_preset(tmp_path / "flat")
    values = {"init_from": str(tmp_path / "flat"), "output": tmp_path / "a"}
    plan = new_plan.make_plan({**values, "data": str(photos), "epochs": 1})
    assert stages(plan.recipe) == [("coarse", None, 1)]
    assert plan.recipe.distill == []


def test_a_teacher_is_distilled_for_some_minutes(whole, photos, tmp_path):
    values = {"preset": str(whole / "teacher"), "data": str(photos)}
    plan = new_plan.distill_plan({**values, "output": tmp_path / "a"})
    assert plan.minutes == pytest.approx(new_plan.DISTILL_MINUTES)
    made = {**values, "output": tmp_path / "b", "minutes": 8.0}
    plan = new_plan.distill_plan(made)
    found = stages(plan.recipe)
    expected = (("coarse", 2.0), ("detail_2", 2.0), ("detail_1", 4.0))
    assert found == [(n, pytest.approx(m), None) for n, m in expected]
    assert plan.recipe.data == {"image_size": 16, "channels": 3}


# Refused

NEW = "--output new"
DISTILL = f"distill --data photos {NEW}"
TRAIN = f"train --data photos {NEW}"
TEACHER = '[model]\nclass = "WMGM"\nteacher = "teacher"\n'
NOTHING = "`teacher` must have detail factors, all `DiffusionFactor`s"
REFUSED = {
    f"{DISTILL} --preset gan": f"{NOTHING}, as a `WSGM` has",
    f"{DISTILL} --preset distilled": "with DistilledFactor, DistilledFactor",
    f"{DISTILL} --preset none/": "A preset is one of",
    f"{DISTILL} --preset empty": "A preset folder has a config.json, and there",
    DISTILL: "Missing option '--preset'",
    f"distill --preset teacher {NEW}": "Missing option '--data'",
    f"distill --preset teacher --data none {NEW}": "and there is none",
    f"distill --preset teacher --data empty {NEW}": "There is no image here",
    "distill --preset teacher --data photos": "Missing option '--output'",
    "distill --preset teacher --data photos --output run": "holds a run; go on",
    "distill --preset teacher --data photos --output photos/a": "is within",
    f"{DISTILL} --preset teacher --epochs 1 --minutes 1": "--epochs and --min",
    f"{DISTILL} --preset teacher --image-size 8": "No such option",
    f"{TRAIN} --init-from distilled": "A `DistilledFactor` learns from",
    f"{TRAIN} --init-from distilled --factors detail_1": "Received: teacher=No",
    f"{TRAIN} --recipe levels.toml": "Received: class='WMGM', num_levels",
    f"{TRAIN} --recipe factors.toml": "Received: class='WMGM', details",
    f"{TRAIN} --recipe class.toml": "Received: class='WSGM', teacher",
    f"{TRAIN} --recipe key.toml": "Did you mean 'epochs'?",
    f"{TRAIN} --recipe table.toml": "Did you mean 'distill'?",
    f"{TRAIN} --recipe student.toml": "Did you mean 'teacher'?",
    f"{TRAIN} --recipe endless.toml": "Every stage but the last, and each",
    f"{TRAIN} --recipe size.toml": "(16, 16, 3). Received: (8, 8, 3)",
    f"{TRAIN} --recipe grey.toml": "(16, 16, 3). Received: (16, 16, 1)",
    f"{TRAIN} --recipe name.toml": "Did you mean 'detail_2'?",
    f"{TRAIN} --recipe gan.toml": NOTHING,
    f"{TRAIN} --recipe twice.toml": "is for a model without a teacher",
    f"{TRAIN} --recipe start.toml": "`start_from` must name a factor",
}
RECIPES = {
    "levels": DATA + TEACHER + "num_levels = 2",
    "factors": DATA + TEACHER + "details = {}",
    "class": DATA + TEACHER.replace("WMGM", "WSGM"),
    "key": RECIPE + "[[distill]]\nepoch = 3",
    "table": RECIPE.replace("[[distill]]", "[[distil]]"),
    "student": DATA + TEACHER.replace("teacher =", "teachr ="),
    "endless": RECIPE + "[[distill]]\nfactors = ['coarse']",
    "size": DATA.replace("16", "8") + TEACHER,
    "grey": DATA + "channels = 1\n" + TEACHER,
    "name": RECIPE.replace("['detail_2']", "['detail2']"),
    "gan": RECIPE.replace(WSGM, WSGM + GAN),
    "twice": f"{DATA}{TEACHER}[[stages]]\n{STAGE}[[distill]]\n{STAGE}",
    "start": f"{DATA}{TEACHER}[[stages]]\n{STAGE}"
    "factors = ['detail_1']\nstart_from = 'detail_7'",
}


@pytest.fixture(scope="module")
def bad(whole, preset, tmp_path_factory):
    """A folder of all that is wrong, and of a good teacher."""
    place = tmp_path_factory.mktemp("bad")
    shutil.copytree(whole / "teacher", place / "teacher")
    shutil.copytree(whole / "preset", place / "distilled")
    shutil.copytree(preset, place / "gan")
    photographs(place / "photos", 4, size=16)
    (place / "empty").mkdir()
    (place / "run").mkdir()
    (place / "run" / "run.json").write_text("{}")
    for name, text in RECIPES.items():
        (place / f"{name}.toml").write_text(text)
    return place


@pytest.mark.parametrize("command", REFUSED)
def test_wrong_use_is_refused_in_one_line(bad, monkeypatch, command):
    monkeypatch.chdir(bad)
    before = content(bad)
    try:
        line = refused(*command.split())
        assert content(bad) == before
    finally:
        shutil.rmtree(bad / "new", ignore_errors=True)
    assert REFUSED[command] in line


# Of the first version


def renamed(config):
    """Return a configuration as the first version has written it."""
    assert config["class_name"] == "WSGM"
    return {
        **config,
        "module": "keras_wmgm.models.hybrid_wmgm",
        "class_name": "HybridWMGM",
        "registered_name": "keras_wmgm>HybridWMGM",
    }


def test_a_run_of_a_hybrid_is_read(whole, tmp_path):
    facts = json.loads((whole / "run.json").read_text())
    del facts["recipe"]["distill"], facts["ended"]
    facts["recipe"]["model"]["class"] = "HybridWMGM"
    (tmp_path / "run.json").write_text(json.dumps(facts))
    with zipfile.ZipFile(whole / RUN_FILE) as file:
        files = {name: file.read(name) for name in file.namelist()}
    config = renamed(json.loads(files["config.json"]))
    files["config.json"] = json.dumps(config)
    with zipfile.ZipFile(tmp_path / RUN_FILE, "w") as file:
        for name, written in files.items():
            file.writestr(name, written)
    plan = plans.resumed_plan(tmp_path, {"epochs": 2})
    assert plan.recipe.model["class"] == "WSGM"
    assert plan.recipe.distill == []
    ok("train", "--resume", tmp_path, "--epochs", 2)
    model = load_run(tmp_path)
    assert type(model) is keras_wmgm.WSGM and model.epochs_trained == 2
    assert metadata(tmp_path / "preset")["class"] == "WSGM"


def test_a_hybrid_is_a_teacher(whole, photos, tmp_path):
    teacher = shutil.copytree(whole / "teacher", tmp_path / "old")
    path = teacher / "config.json"
    path.write_text(json.dumps(renamed(json.loads(path.read_text()))))
    values = {"preset": str(teacher), "data": str(photos), "epochs": 1}
    with pytest.warns(UserWarning, match="is opened as a `WSGM`"):
        plan = new_plan.distill_plan({**values, "output": tmp_path / "new"})
    assert stages(plan.recipe) == [(name, None, 1) for name in NAMES]
